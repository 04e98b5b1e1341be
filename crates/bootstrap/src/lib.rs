//! Configuration, telemetry, health, shutdown, private servers for the demo and tests.
