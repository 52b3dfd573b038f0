//! Ways from one principal to another that IAM allows: credentials, trust policies, roles passed to services, nodes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::metadata::Instance;
use super::world::{Answer, Own, Principal, World};
use super::{cloud, resting};
use crate::iam::{Caller, Context, principal};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::Fact;

/// Services that run code with a role that is passed to them: the principal of the service, and the actions that start it
/// (pathfinding.cloud; PMapper; IAM User Guide, "Grant a user permissions to pass a role to an AWS service").
const SERVICES: [(&str, &[&str]); 13] = [
    ("ec2.amazonaws.com", &["ec2:RunInstances"]),
    ("lambda.amazonaws.com", &["lambda:CreateFunction", "lambda:InvokeFunction"]),
    ("ecs-tasks.amazonaws.com", &["ecs:RegisterTaskDefinition", "ecs:RunTask"]),
    ("codebuild.amazonaws.com", &["codebuild:CreateProject", "codebuild:StartBuild"]),
    ("glue.amazonaws.com", &["glue:CreateJob", "glue:StartJobRun"]),
    ("sagemaker.amazonaws.com", &["sagemaker:CreateNotebookInstance", "sagemaker:CreatePresignedNotebookInstanceUrl"]),
    ("cloudformation.amazonaws.com", &["cloudformation:CreateStack"]),
    ("states.amazonaws.com", &["states:CreateStateMachine", "states:StartExecution"]),
    ("pods.eks.amazonaws.com", &["eks:CreatePodIdentityAssociation"]),
    ("pods.eks.amazonaws.com", &["eks:CreateAddon"]),
    ("pods.eks.amazonaws.com", &["eks:UpdateAddon"]),
    ("ec2.amazonaws.com", &["eks:CreateNodegroup"]),
    ("capabilities.eks.amazonaws.com", &["eks:CreateCapability"]),
];

/// Actions that give the credentials or the trust of another principal: kind of the target, action, technique.
const TAKES: [(&str, &str, &str); 4] = [
    ("IamUser", "iam:CreateAccessKey", "aws-iam-credentials"),
    ("IamUser", "iam:CreateLoginProfile", "aws-iam-credentials"),
    ("IamUser", "iam:UpdateLoginProfile", "aws-iam-credentials"),
    ("IamRole", "iam:UpdateAssumeRolePolicy", "aws-iam-trust-edit"),
];

/// Actions that run commands on an instance.
pub(super) const COMMANDS: [&str; 3] = ["ssm:SendCommand", "ssm:StartSession", "ec2-instance-connect:SendSSHPublicKey"];

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    takes(ctx, world);
    passed(ctx, world);
    nodes(ctx, world);
    node_groups(ctx, world);
}

/// Label of nodes of a managed node group (EKS User Guide, "Managed node groups").
const NODE_GROUP: &str = "eks.amazonaws.com/nodegroup";

/// A group of nodes that are started from one launch template.
struct NodeGroup<'c> {
    /// What replaces its nodes.
    action: &'static str,
    /// ARN up to the part that is not known.
    start: String,
    /// ARN of any one that the name means.
    arn: String,
    name: &'c str,
    nodes: Vec<u32>,
}

/// Groups of the cluster's nodes: managed ones by their label, others by the tag of their instances (EKS User Guide,
/// "Managed node groups"; EC2 Auto Scaling User Guide, "Tag Auto Scaling groups and instances").
fn groups<'c>(cluster: &'c Cluster, world: &World<'c>, eks: &str) -> Vec<NodeGroup<'c>> {
    let mut groups: BTreeMap<(bool, &str), Vec<u32>> = BTreeMap::new();
    for (n, i) in cluster.objects.nodes.iter().zip(0u32..) {
        if let Some(group) = n.metadata.labels.get(NODE_GROUP) {
            groups.entry((true, group)).or_default().push(i);
        }
    }
    for i in &world.instances {
        let labelled =
            cluster.objects.nodes.get(i.node as usize).is_some_and(|n| n.metadata.labels.contains_key(NODE_GROUP));
        let tags = cluster.objects.cloud.get(i.instance as usize).filter(|_| !labelled).map(|o| o.list("Tags"));
        let text = |t: &'c Value, field: &str| t.get(field).and_then(Value::as_str).unwrap_or_default();
        let mut named = tags.into_iter().flatten().filter(|t| text(t, "Key") == "aws:autoscaling:groupName");
        if let Some(t) = named.next() {
            groups.entry((false, text(t, "Value"))).or_default().push(i.node);
        }
    }
    let (start, cluster) = eks.split_once(":cluster/").unwrap_or_default();
    let made = |((managed, name), nodes): ((bool, &'c str), Vec<u32>)| {
        let (action, start, rest) = match managed {
            true => ("eks:UpdateNodegroupVersion", format!("{start}:nodegroup/{cluster}/{name}/"), String::new()),
            false => (
                "autoscaling:UpdateAutoScalingGroup",
                format!("{}:autoScalingGroup:", start.replacen(":eks:", ":autoscaling:", 1)),
                format!(":autoScalingGroupName/{name}"),
            ),
        };
        NodeGroup { action, arn: format!("{start}id{rest}"), start, name, nodes }
    };
    groups.into_iter().map(made).collect()
}

/// Root on the nodes of a group, for who may give it another launch template: new nodes take its user data.
fn node_groups(ctx: &mut Ctx<'_>, world: &World<'_>) {
    const TEMPLATE: &str = "ec2:CreateLaunchTemplateVersion";
    let able: Vec<&Principal> = world.principals.values().filter(|p| world.could(p, &[TEMPLATE])).collect();
    for (cluster, eks, which) in world.clusters() {
        let arn = eks.text("arn");
        let account = principal::account(arn).unwrap_or(&world.account).to_owned();
        let region = arn.split(':').nth(3).unwrap_or("region");
        let all = groups(world.cluster, world, arn);
        for p in able.iter().filter(|p| principal::account(&p.arn) == Some(account.as_str())) {
            let context = world.context(&p.arn, &account);
            // What a policy names one by one is asked as it stands there.
            let ask = |action: &str, named: BTreeSet<String>| {
                let answers = named.iter().map(|r| world.may(p, action, (r, &account), Own::default(), &context));
                answers.filter(|a| a.open).min_by_key(|a| a.unknowns.len())
            };
            let templates = format!("arn:{}:ec2:{region}:{account}:launch-template/", world.partition);
            let mut named = world.patterns(p, &templates);
            named.insert(format!("{templates}lt-id"));
            let Some(version) = ask(TEMPLATE, named) else { continue };
            for group in &all {
                // The name comes last for groups that are not managed.
                let own = |r: &String| group.arn.ends_with("/id") || r.ends_with(&format!("/{}", group.name));
                let mut named: BTreeSet<String> = world.patterns(p, &group.start).into_iter().filter(own).collect();
                named.insert(group.arn.clone());
                let Some(roll) = ask(group.action, named) else { continue };
                for n in &group.nodes {
                    let node = Obj { kind: Kind::Node, index: *n };
                    let e = Emit::new("aws-eks-launch-template", Fact::Node(*n)).from(Fact::CloudPrincipal(p.index));
                    // The default of EKS has no launch template that an account may change.
                    let e = e.tier(4).unless_known(format!("launch-template:{}", group.name)).maybe(which.clone());
                    let e = e.because(node, "/metadata/name", group.name.to_owned(), "the node is of this group");
                    let e = e.because(cloud(cluster), "/spec/arn", arn.to_owned(), "the cluster of the group");
                    ctx.emit(resting(resting(e, &version, p.index), &roll, p.index));
                }
            }
        }
    }
}

fn takes(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for (kind, action, technique) in TAKES {
        for p in world.principals.values().filter(|p| world.could(p, &[action])) {
            for target in world.principals.values().filter(|t| t.arn != p.arn) {
                let is = ctx.cluster.objects.cloud.get(target.index as usize).is_some_and(|o| o.kind() == kind);
                if !is {
                    continue;
                }
                let account = principal::account(&target.arn).unwrap_or_default();
                if principal::account(&p.arn) != Some(account) {
                    continue;
                }
                let context = world.context(&p.arn, account);
                let answer = world.may(p, action, (&target.arn, account), Own::default(), &context);
                if answer.open {
                    let e =
                        Emit::new(technique, Fact::CloudPrincipal(target.index)).from(Fact::CloudPrincipal(p.index));
                    ctx.emit(resting(e.tier(3), &answer, p.index));
                }
            }
        }
    }
}

/// Whether a principal may do something on some resource: the resources are those that its policies name, and any.
pub(super) fn somewhere(world: &World<'_>, p: &Principal, action: &str) -> Answer {
    let account = principal::account(&p.arn).unwrap_or_default();
    let partition = p.arn.split(':').nth(1).unwrap_or("aws");
    let service = action.split(':').next().unwrap_or_default();
    let mut resources: BTreeSet<String> = world.patterns(p, &format!("arn:{partition}:{service}:"));
    resources.insert(format!("arn:{partition}:{service}:region:{account}:kpath/kpath"));
    let context = world.context(&p.arn, account);
    let answers = resources.iter().map(|r| world.may(p, action, (r, account), Own::default(), &context));
    answers.filter(|a| a.open).min_by_key(|a| a.unknowns.len()).unwrap_or_default()
}

/// A role that a service runs code with, for who may pass it and start that.
fn passed(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let passing: Vec<&Principal> = world.principals.values().filter(|p| world.could(p, &["iam:PassRole"])).collect();
    if passing.is_empty() {
        return;
    }
    // In China services have a second name.
    let second = |service: &str| (world.partition == "aws-cn").then(|| format!("{service}.cn"));
    let named = |(service, actions): (&str, _)| [Some(service.to_owned()), second(service)].map(|s| (s, actions));
    let services = SERVICES.into_iter().flat_map(named).filter_map(|(s, actions)| Some((s?, actions)));
    for (service, actions) in services {
        let caller = Caller::Service(service.clone());
        let mut c = Context::new();
        c.set_unknown("*");
        let trusting: Vec<(u32, &str)> = world
            .of("IamRole")
            .filter_map(|(i, o)| {
                let (name, trust) = World::trust(o)?;
                let answer = world.trusts(&caller, "sts:AssumeRole", o.text("Arn"), (name, &trust), &c);
                answer.open.then(|| (i, o.text("Arn")))
            })
            .collect();
        if trusting.is_empty() {
            continue;
        }
        for p in &passing {
            let starts: Vec<Answer> = actions.iter().map(|a| somewhere(world, p, a)).collect();
            if !starts.iter().all(|a| a.open) {
                continue;
            }
            for (role, arn) in trusting.iter().filter(|(_, arn)| *arn != p.arn) {
                let account = principal::account(arn).unwrap_or_default();
                let mut context = world.context(&p.arn, account);
                context.set("iam:PassedToService", [service.as_str()]);
                let pass = world.may(p, "iam:PassRole", (arn, account), Own::default(), &context);
                if pass.open && principal::account(&p.arn) == Some(account) {
                    let technique = match actions.first().copied().unwrap_or_default() {
                        "eks:CreatePodIdentityAssociation" => "aws-eks-podidentity-write",
                        "eks:CreateAddon" | "eks:UpdateAddon" | "eks:CreateNodegroup" | "eks:CreateCapability" => {
                            "aws-eks-addon-nodegroup"
                        }
                        _ => "aws-passrole-compute",
                    };
                    let mut e = Emit::new(technique, Fact::CloudPrincipal(*role)).from(Fact::CloudPrincipal(p.index));
                    if technique == "aws-eks-podidentity-write" {
                        // A pod of the attacker's own has the account that is associated.
                        e = e.from(Fact::AllWorkloads);
                    }
                    // What an add-on or the nodes of a group run is not the caller's alone to say.
                    e = match actions.first().copied() {
                        Some("eks:CreateAddon" | "eks:UpdateAddon") => e.unless_known("add-on-runs-code"),
                        Some("eks:CreateCapability") => e.unless_known("capability-runs-code"),
                        Some("eks:CreateNodegroup") => e.unless_known("node-group-runs-code"),
                        _ => e,
                    };
                    let e = resting(e.tier(3), &pass, p.index);
                    ctx.emit(starts.iter().fold(e, |e, a| resting(e, a, p.index)));
                }
            }
        }
    }
}

/// Root on a node, for who may run commands on its instance.
fn nodes(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for p in world.principals.values().filter(|p| world.could(p, &COMMANDS)) {
        let account = principal::account(&p.arn).unwrap_or_default();
        for Instance { node: i, instance, .. } in &world.instances {
            let (i, instance) = (*i, *instance);
            let (Some(n), Some(o)) =
                (ctx.cluster.objects.nodes.get(i as usize), ctx.cluster.objects.cloud.get(instance as usize))
            else {
                continue;
            };
            let region = region(&n.spec.provider_id);
            let arn = format!("arn:{}:ec2:{region}:{account}:instance/{}", world.partition, o.metadata.name);
            let context = world.context(&p.arn, account);
            if let Some((answer, id)) = commands(world, p, &arn, &context) {
                let node = Obj { kind: Kind::Node, index: i };
                let e = Emit::new("aws-ssm-to-node", Fact::Node(i)).from(Fact::CloudPrincipal(p.index)).tier(2);
                let e = e.unless_known(format!("{id}:{}", o.metadata.name));
                let e = e.because(node, "/spec/providerID", n.spec.provider_id.clone(), "the node is this instance");
                let e = e.because(cloud(instance), "/metadata/name", "", "the instance");
                ctx.emit(resting(e, &answer, p.index));
            }
        }
    }
}

/// How a principal runs commands on an instance, and what is not in the data: whether the agent of Systems Manager answers
/// there, or whether SSH can be reached. Commands are sent by a document, which must be allowed as well.
pub(super) fn commands(
    world: &World<'_>,
    p: &Principal,
    arn: &str,
    context: &Context,
) -> Option<(Answer, &'static str)> {
    let account = principal::account(&p.arn).unwrap_or_default();
    let ask = |action: &str, on: &str| {
        let answer = world.may(p, action, (on, account), Own::default(), context);
        answer.open.then_some(answer)
    };
    let [send, session, key] = COMMANDS;
    let (start, _) =
        arn.replacen(":ec2:", ":ssm:", 1).split_once(":instance/").map(|(s, r)| (s.to_owned(), r.to_owned()))?;
    // Documents of AWS have no account in their ARN.
    let region = start.rsplit_once(':').map_or(start.as_str(), |(s, _)| s);
    let document = format!("{region}::document/AWS-RunShellScript");
    let sent = ask(send, arn).zip(ask(send, &document)).map(|(mut a, b)| {
        a.unknowns.extend(b.unknowns);
        a.statements.extend(b.statements);
        a
    });
    let managed = sent.into_iter().chain(ask(session, arn)).map(|a| (a, "ssm-managed"));
    managed.chain(ask(key, arn).map(|a| (a, "ssh-reachable"))).min_by_key(|(a, _)| a.unknowns.len())
}

/// The region of a node, `aws:///eu-west-1a/i-1`.
fn region(provider_id: &str) -> &str {
    super::world::region(provider_id.trim_start_matches("aws:///").split('/').next().unwrap_or_default())
}
