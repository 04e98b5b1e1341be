//! MusicProvider, the HTTP client, Spotify and Tidal.
