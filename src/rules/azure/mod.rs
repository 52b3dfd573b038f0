//! Azure: from accounts and nodes of an AKS cluster to managed identities, from there to vaults, nodes and other identities,
//! and back into the cluster.
//!
//! Annotations and labels select, they never grant: what counts is what federated credentials and role assignments say.
//! Sources: AKS documentation ("Use Microsoft Entra Workload ID", "Use Azure RBAC for Kubernetes Authorization", "Manage local
//! accounts", "Use command invoke", "Node resource group lockdown", "Block pod access to IMDS"), Azure RBAC documentation
//! ("Understand Azure role assignments", "Understand scope"), Key Vault documentation.

mod effects;
mod joins;
mod roles;
mod world;

use super::ctx::Ctx;
use super::fact::Fact;
use crate::model::cloud::Provider;
use crate::netpol::network::Network;
use world::{PRINCIPALS, World};

/// Emits everything that data of Azure tells; nothing without such data.
pub fn emit(ctx: &mut Ctx<'_>, network: &Network<'_>) {
    if !ctx.cluster.objects.cloud.iter().any(|o| o.provider() == Provider::Azure) {
        return;
    }
    let world = World::new(ctx.cluster);
    ctx.fact(Fact::AccountAdmin);
    for (o, index) in ctx.cluster.objects.cloud.iter().zip(0u32..) {
        match o.kind() {
            kind if PRINCIPALS.contains(&kind) => {
                ctx.fact(Fact::CloudPrincipal(index));
            }
            "AzureKeyVault" => {
                ctx.fact(Fact::CloudResource(index));
            }
            _ => {}
        }
    }
    joins::emit(ctx, &world, network);
    effects::emit(ctx, &world);
}
