//! Capabilities that EKS runs beside a cluster: who writes the objects of AWS Controllers for Kubernetes acts with the role
//! of the capability (EKS User Guide, "EKS Capabilities", "Amazon EKS capability IAM role").

use super::cloud;
use super::world::World;
use crate::authz::rbac::GrantId;
use crate::model::platform::is_controllers_group;
use crate::model::rbac::PolicyRule;
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::Fact;
use crate::rules::rows;

/// Whether a rule allows having the controllers make something: an object of theirs that is made or changed. One that is
/// named must be there already.
pub fn writes(rule: &PolicyRule) -> bool {
    let group = rule.api_groups.iter().any(|g| g == "*" || is_controllers_group(g));
    let verbs: &[&str] =
        if rule.resource_names.is_empty() { &["create", "patch", "update"] } else { &["patch", "update"] };
    let verb = rule.verbs.iter().any(|v| v == "*" || verbs.contains(&v.as_str()));
    group && verb && rule.resources.iter().any(|r| !r.contains('/') || r == "*/*")
}

/// Emits the step of each rule that lets its holder write such objects.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let clusters = world.clusters();
    for (index, c) in world.of("EksCapability").filter(|(_, c)| matches!(c.text("type"), "ACK" | "")) {
        let Some((_, eks, which)) = clusters.iter().find(|(_, k, _)| k.metadata.name == c.text("clusterName")) else {
            continue;
        };
        let described = c.text("roleArn");
        let Some(role) = world.principals.get(described) else { continue };
        for i in 0..ctx.authz.grants().len() as u32 {
            let Some(g) = ctx.authz.grant(GrantId(i)).copied() else { continue };
            let Some((object, r)) = g.role else { continue };
            for (j, rule) in r.rules.iter().enumerate().filter(|(_, rule)| writes(rule)) {
                let e = Emit::new("op-ack", Fact::CloudPrincipal(role.index)).from(Fact::Grant(i)).from(Fact::ApiReach);
                let e = e.tier(3).maybe(which.clone());
                let e = e.maybe(
                    c.text("type").is_empty().then(|| format!("unread:eks-describe-capability-{}", c.metadata.name)),
                );
                let why = "the rule allows writing objects of AWS Controllers for Kubernetes";
                let e = e.because(object, format!("/rules/{j}"), rows::describe(rule), why);
                let why = "the capability acts with this role";
                let e = e.because(cloud(index), "/spec/roleArn", described.to_owned(), why);
                let Some((k, _)) = world.find("EksCluster", &eks.metadata.name) else { continue };
                ctx.emit(e.because(
                    cloud(k),
                    "/metadata/name",
                    eks.metadata.name.clone(),
                    "the capability is of the cluster",
                ));
            }
        }
    }
}
