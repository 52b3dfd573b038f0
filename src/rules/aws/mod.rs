//! AWS: from the cluster to roles of its account, from there to keys, buckets and secrets, and back into the cluster.
//!
//! Annotations are hints, never grants: what counts is what trust policies, associations and entries say. Sources: Amazon
//! EKS User Guide ("IAM roles for service accounts", "EKS Pod Identity", "Access entries"), aws-iam-authenticator, AWS KMS
//! Developer Guide, EC2 User Guide ("Use IMDS").

mod access;
mod capabilities;
mod clusters;
mod compute;
mod config_map;
mod escalate;
mod joins;
mod metadata;
mod storage;
mod targets;
mod world;

use super::ctx::{Ctx, Emit, cloud};
use super::fact::Fact;
use crate::model::cloud::Provider;
use crate::netpol::network::Network;
use world::{Answer, World};

/// Emits everything that AWS data tells; nothing without such data.
pub fn emit(ctx: &mut Ctx<'_>, network: &Network<'_>) {
    // Other clouds have rules of their own.
    if !ctx.cluster.objects.cloud.iter().any(|o| o.provider() == Provider::Aws) {
        config_map::emit(ctx, None);
        return;
    }
    let world = World::new(ctx.cluster);
    config_map::emit(ctx, Some(&world));
    for (o, index) in ctx.cluster.objects.cloud.iter().zip(0u32..) {
        match o.kind() {
            "IamRole" | "IamUser" => {
                ctx.fact(Fact::CloudPrincipal(index));
            }
            "KmsKey" | "S3Bucket" | "SecretsManagerSecret" | "EbsVolume" => {
                ctx.fact(Fact::CloudResource(index));
            }
            _ => {}
        }
    }
    joins::emit(ctx, &world);
    metadata::emit(ctx, &world, network);
    access::emit(ctx, &world);
    targets::emit(ctx, &world);
    escalate::emit(ctx, &world);
    compute::emit(ctx, &world);
    capabilities::emit(ctx, &world);
}

pub use capabilities::writes as writes_controllers;
pub use config_map::WRITES;
pub use storage::images;

/// Numbers of roles that trust every service account of the cluster for sure.
pub fn roles_of_any_account(cluster: &crate::model::Cluster) -> std::collections::BTreeSet<u32> {
    joins::of_any_account(&World::new(cluster))
}

/// Adds what a decision rests on: the statements, and the unknowns that leave it open.
/// Without a statement the object itself is cited: what is said of it was not all read.
fn resting<'a>(mut e: Emit<'a>, answer: &Answer, object: u32) -> Emit<'a> {
    if answer.statements.is_empty() {
        e = e.because(cloud(object), "/metadata/name", "", "not all of its policies were read");
    }
    for id in &answer.unknowns {
        e = e.unless_known(id.clone());
    }
    for s in &answer.statements {
        let why = if s.denies { "the statement may deny it" } else { "the statement allows it" };
        e = e.because(s.object, s.pointer.clone(), s.value.clone(), why);
    }
    e
}
