//! Engines around engines.
