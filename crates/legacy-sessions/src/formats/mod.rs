//! One file for each format: how it is known, and how it is read.

pub(crate) mod dotenv;
pub(crate) mod schema;
pub(crate) mod spotify_config;
pub(crate) mod spotify_env;
pub(crate) mod spotipy;
pub(crate) mod tidal_mcp;
pub(crate) mod tidalapi;
