//! Code that runs already with a role: who may change it, or run commands where it runs, acts as the role.
//!
//! Sources: pathfinding.cloud ("existing" paths), AWS Lambda, CodeBuild, CloudFormation and Amazon ECS API references.

use std::collections::{BTreeMap, BTreeSet};

use super::escalate::{COMMANDS, commands, somewhere};
use super::world::{Own, Principal, World};
use super::{cloud, resting};
use crate::iam::{Caller, Context, principal};
use crate::model::cloud::CloudObject;
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::Fact;

/// A kind of things that run with a role.
struct Runs {
    /// Action that has them run what the caller wants.
    action: &'static str,
    /// Kind of their objects, with the fields of their ARN and of the ARN of their role.
    object: (&'static str, &'static str, &'static str),
    /// Service that takes the role.
    service: &'static str,
    /// Call that lists them.
    list: &'static str,
}

const RUNS: [Runs; 4] = [
    Runs {
        action: "lambda:UpdateFunctionCode",
        object: ("LambdaFunction", "FunctionArn", "Role"),
        service: "lambda.amazonaws.com",
        list: "lambda-list-functions",
    },
    Runs {
        action: "codebuild:StartBuild",
        object: ("CodeBuildProject", "arn", "serviceRole"),
        service: "codebuild.amazonaws.com",
        list: "codebuild-batch-get-projects",
    },
    Runs {
        action: "cloudformation:UpdateStack",
        object: ("CloudFormationStack", "StackId", "RoleARN"),
        service: "cloudformation.amazonaws.com",
        list: "cloudformation-describe-stacks",
    },
    Runs {
        action: "ecs:ExecuteCommand",
        object: ("EcsTask", "taskArn", "taskRoleArn"),
        service: "ecs-tasks.amazonaws.com",
        list: "ecs-describe-tasks",
    },
];

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for runs in &RUNS {
        let able: Vec<&Principal> = world.principals.values().filter(|p| world.could(p, &[runs.action])).collect();
        if !able.is_empty() {
            running(ctx, world, runs, &able);
        }
    }
    instances(ctx, world);
}

fn step(from: &Principal, role: u32) -> Emit<'static> {
    Emit::new("aws-existing-compute", Fact::CloudPrincipal(role)).from(Fact::CloudPrincipal(from.index)).tier(3)
}

/// Functions, projects, stacks and tasks.
fn running(ctx: &mut Ctx<'_>, world: &World<'_>, runs: &Runs, able: &[&Principal]) {
    let (kind, arn, role) = runs.object;
    let all: Vec<(u32, &CloudObject)> = world.of(kind).collect();
    let mut by_role: BTreeMap<&str, Vec<(u32, &CloudObject)>> = BTreeMap::new();
    for (index, o) in &all {
        by_role.entry(o.text(role)).or_default().push((*index, *o));
    }
    for p in able {
        let account = principal::account(&p.arn).unwrap_or_default();
        let context = world.context(&p.arn, account);
        // One of those that have a role is enough.
        for (arn_of_role, things) in &by_role {
            let Some(to) = world.principals.get(*arn_of_role).filter(|t| t.arn != p.arn) else { continue };
            let mut best: Option<(u32, super::world::Answer)> = None;
            for (index, o) in things.iter().filter(|(_, o)| principal::account(o.text(arn)) == Some(account)) {
                let answer = world.may(p, runs.action, (o.text(arn), account), Own::default(), &context);
                let better = best.as_ref().is_none_or(|(_, b)| b.unknowns.len() > answer.unknowns.len());
                if answer.open && better {
                    best = Some((*index, answer));
                }
                if best.as_ref().is_some_and(|(_, b)| b.unknowns.is_empty()) {
                    break;
                }
            }
            if let Some((index, answer)) = best {
                let e = step(p, to.index);
                let e = e.because(cloud(index), format!("/spec/{role}"), to.arn.clone(), "it runs with this role");
                ctx.emit(resting(e, &answer, p.index));
            }
        }
    }
    // Who says that nothing is missing says it of lists too.
    if world.was_called(runs.list) || world.cluster.complete {
        return;
    }
    // What was not listed may run with any role that the service takes.
    let caller = Caller::Service(runs.service.to_owned());
    let mut c = Context::new();
    c.set_unknown("*");
    let roles = world.of("IamRole").filter(|(_, o)| {
        World::trust(o).is_some_and(|(name, trust)| {
            world.trusts(&caller, "sts:AssumeRole", o.text("Arn"), (name, &trust), &c).open
        })
    });
    let roles: Vec<(u32, &CloudObject)> = roles.collect();
    for p in able {
        let answer = somewhere(world, p, runs.action);
        for (index, o) in roles.iter().filter(|(_, o)| answer.open && o.text("Arn") != p.arn) {
            if principal::account(o.text("Arn")) == principal::account(&p.arn) {
                let e = step(p, *index).unless_known(format!("unread:{}", runs.list));
                let e =
                    e.because(cloud(*index), "/spec/AssumeRolePolicyDocument", "", "the service may have this role");
                ctx.emit(resting(e, &answer, p.index));
            }
        }
    }
}

/// Instances that are no nodes of the cluster: commands on those are another technique's.
fn instances(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let nodes: BTreeSet<u32> = world.instances.iter().map(|i| i.instance).collect();
    let mut roles: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (_, p) in world.of("IamInstanceProfile") {
        let own = p.list("Roles").iter().filter_map(|r| Some(world.principals.get(r.as_str()?)?.index));
        roles.entry(p.text("Arn")).or_default().extend(own);
    }
    for p in world.principals.values().filter(|p| world.could(p, &COMMANDS)) {
        let account = principal::account(&p.arn).unwrap_or_default();
        let context = world.context(&p.arn, account);
        for (index, o) in world.of("Ec2Instance").filter(|(i, _)| !nodes.contains(i)) {
            let profile = o.spec.pointer("/IamInstanceProfile/Arn").and_then(|a| a.as_str()).unwrap_or_default();
            let own = roles.get(profile).cloned().unwrap_or_default();
            if own.iter().all(|r| *r == p.index) {
                continue;
            }
            let state = o.spec.pointer("/State/Name").and_then(|n| n.as_str()).unwrap_or_default();
            if matches!(state, "terminated" | "shutting-down") {
                continue;
            }
            let region = world.region_of(o);
            let arn = format!("arn:{}:ec2:{region}:{account}:instance/{}", world.partition, o.metadata.name);
            let Some((answer, id)) = commands(world, p, &arn, &context) else { continue };
            for role in own.into_iter().filter(|r| *r != p.index) {
                let e = step(p, role).unless_known(format!("{id}:{}", o.metadata.name));
                let why = "the instance has this role";
                let e = e.because(cloud(index), "/spec/IamInstanceProfile/Arn", profile.to_owned(), why);
                ctx.emit(resting(e, &answer, p.index));
            }
        }
    }
}
