//! A stateful stand-in for Spotify's and Tidal's APIs.
