//! A proof turned into steps that a reader can check, and answers to questions.

pub mod analyze;
pub mod answer;
mod choke;
mod cloud;
pub mod connections;
mod hits;
pub mod lint;
pub mod name;
pub mod net;
pub mod network_questions;
pub mod proof_file;
mod row;
mod source;
pub mod step;

pub use answer::{Answer, Question, Verdict};
pub use step::Step;
