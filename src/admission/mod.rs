//! Admission: what the API server does to a pod before it is stored, and whether it stores it.
//!
//! Pod Security (`pod-security-admission/policy`), ServiceAccount admission (`plugin/pkg/admission/serviceaccount`)
//! and the webhooks and policies that would see a request.

pub mod psa;
pub mod service_account;
pub mod sysctl;
pub mod webhook;
