//! Integration tests in one binary: linking once saves most of the build time.

mod oracles;
mod support;
