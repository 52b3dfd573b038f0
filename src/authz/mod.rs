//! Authorization: the API server's RBAC authorizer, its Node authorizer, and the RBAC escalation check.
//!
//! Sources: `plugin/pkg/auth/authorizer/rbac`, `plugin/pkg/auth/authorizer/node`, `pkg/registry/rbac`.

pub mod covers;
pub mod escalation;
pub mod node;
pub mod rbac;

pub use rbac::{Attributes, Authorizer, Decision, GrantId, User};
