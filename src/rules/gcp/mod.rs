//! Google Cloud: from accounts and nodes of a GKE cluster to service accounts of its projects, from there to keys, buckets
//! and secrets, and back into the cluster.
//!
//! Annotations select, they never grant: what counts is what policies say. Sources: Google Cloud, "About Workload Identity
//! Federation for GKE", "Authorize access using IAM policies" (GKE), "IAM overview", "Principal identifiers".

mod effects;
mod joins;
mod machines;
mod roles;
mod world;

use super::ctx::Ctx;
use super::fact::Fact;
use crate::model::cloud::Provider;
use crate::netpol::network::Network;
use world::World;

/// Emits everything that data of Google Cloud tells; nothing without such data.
pub fn emit(ctx: &mut Ctx<'_>, network: &Network<'_>) {
    if !ctx.cluster.objects.cloud.iter().any(|o| o.provider() == Provider::Gcp) {
        return;
    }
    let world = World::new(ctx.cluster);
    ctx.fact(Fact::AccountAdmin);
    for (o, index) in ctx.cluster.objects.cloud.iter().zip(0u32..) {
        match o.kind() {
            "GcpServiceAccount" | "GcpMember" => {
                ctx.fact(Fact::CloudPrincipal(index));
            }
            "GcpKmsKey" | "GcpBucket" | "GcpSecret" => {
                ctx.fact(Fact::CloudResource(index));
            }
            _ => {}
        }
    }
    let pools = joins::pools(&world);
    machines::emit(ctx, &world, network, &pools);
    joins::emit(ctx, &world, &pools);
    effects::emit(ctx, &world);
}
