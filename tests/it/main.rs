//! Integration tests in one binary: linking once saves most of the build time.

mod analysis;
mod aws;
mod aws_accounts;
#[cfg(feature = "aws")]
mod aws_live;
mod canary;
mod cli;
mod clouds;
mod collector;
mod evidence;
mod exposure;
mod faults;
mod fixes;
mod fixtures;
mod iam;
mod input;
mod negatives;
mod net_cli;
mod netpol;
mod netpol_naive;
mod netpol_plugins;
mod oracles;
mod pictures;
mod presets;
mod properties;
mod pseudonyms;
mod realcluster;
mod review;
mod search;
mod server;
mod support;
#[allow(dead_code, reason = "the example has a main of its own")]
#[path = "../../examples/synth.rs"]
mod synth;
mod tidy;
mod tls;
mod verify;
