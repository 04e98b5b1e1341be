//! The HTTP edge: the only user of axum and rmcp; also the demo.
