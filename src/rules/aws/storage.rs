//! Where images and disks are kept: repositories of ECR that the cluster pulls from, and volumes of EBS.
//!
//! Sources: Amazon ECR User Guide ("Private repository policies", "Image tag mutability"), Amazon EBS User Guide ("Use EBS
//! direct APIs", "Share an Amazon EBS snapshot"), AWS KMS Developer Guide ("Conditions: kms:ViaService").

use std::collections::{BTreeMap, BTreeSet};

use super::targets::Resources;
use super::world::{Answer, Own, Principal, World, last};
use super::{cloud, resting};
use crate::iam::policy::Named;
use crate::iam::{Document, principal};
use crate::model::cloud::{CloudObject, Provider};
use crate::model::kind::{Kind, Obj};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::entry;
use crate::rules::fact::{Access, Fact};

/// Everything that a push takes.
const PUSH: [&str; 4] = ["ecr:PutImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload"];

/// What moves a tag that is said to be fixed: by ending that, or by making room for it.
const UNFIX: [&str; 2] = ["ecr:PutImageTagMutability", "ecr:BatchDeleteImage"];

/// The account and the ARN of a repository by the name that images have: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME`, or
/// `ACCOUNT.dkr-ecr.REGION.on.aws/NAME`.
fn repository(partition: &str, image: &str) -> Option<(String, String)> {
    let (host, name) = image.split_once('/')?;
    let mut parts = host.split('.');
    let account = parts.next().filter(|a| a.len() == 12 && a.bytes().all(|b| b.is_ascii_digit()))?;
    let first = parts.next()?;
    let ecr = matches!(first, "dkr-ecr" | "dkr-ecr-fips")
        || (first == "dkr" && matches!(parts.next(), Some("ecr" | "ecr-fips")));
    let region = parts.next().filter(|_| ecr)?;
    Some((account.to_owned(), format!("arn:{partition}:ecr:{region}:{account}:repository/{name}")))
}

/// A repository of the account, with what was read of it.
struct Repository<'w> {
    account: String,
    arn: String,
    name: String,
    tags: Option<&'w str>,
    policy: Option<Document>,
}

impl<'w> Repository<'w> {
    fn new(world: &World<'w>, image: &str) -> Option<Self> {
        let (account, arn) = repository(&world.partition, image)?;
        let (_, name) = arn.split_once(":repository/")?;
        let name = name.to_owned();
        // Another account and another region may have one of the name.
        let is = |o: &&crate::model::cloud::CloudObject| match (o.text("repositoryArn"), o.text("registryId")) {
            ("", "") => account == world.account,
            ("", registry) => registry == account,
            (own, _) => own == arn,
        };
        let object = world.find("EcrRepository", &name).map(|(_, o)| o).filter(is);
        let tags = object.map(|o| o.text("imageTagMutability")).filter(|m| !m.is_empty());
        let policy = object.and_then(|o| o.spec.get("Policy")).and_then(|d| Document::new(d).ok());
        Some(Repository { account, arn, name, tags, policy })
    }

    fn own(&self) -> Own<'_> {
        match &self.policy {
            Some(d) => Own::policy(&format!("EcrRepository/{} /spec/Policy", self.name), d),
            None => Own {
                missing: Some(format!("unread:ecr-get-repository-policy-{}", last(&self.name))),
                ..Own::default()
            },
        }
    }

    /// Principals that its policy names.
    fn named<'p>(&self, world: &'p World<'_>) -> Vec<&'p Principal> {
        let listed = self.policy.iter().flat_map(|d| &d.statements).filter_map(|s| s.principals.as_ref());
        let named = listed.flat_map(|l| &l.list).filter_map(|n| match n {
            Named::Aws(arn) => world.principals.get(arn),
            _ => None,
        });
        named.collect()
    }
}

/// Numbers of repositories that some principal can push to, after the steps that say so.
fn pushes(ctx: &mut Ctx<'_>, world: &World<'_>, repositories: &[String]) -> BTreeSet<u32> {
    let able: Vec<&Principal> = world.principals.values().filter(|p| world.could(p, &PUSH)).collect();
    let mut out = BTreeSet::new();
    for (image, n) in repositories.iter().zip(0u32..) {
        let Some(r) = Repository::new(world, image) else { continue };
        ctx.fact(Fact::ImageWrite(n));
        let mut asked: BTreeMap<u32, &Principal> = able.iter().map(|p| (p.index, *p)).collect();
        asked.extend(r.named(world).into_iter().map(|p| (p.index, p)));
        for p in asked.into_values() {
            let context = world.context(&p.arn, &r.account);
            let ask = |a: &str| world.may(p, a, (&r.arn, &r.account), r.own(), &context);
            let answers: Vec<Answer> = PUSH.iter().map(|a| ask(a)).collect();
            // Nobody is said to be let in by a policy that was not read alone.
            if !answers.iter().all(|a| a.open && !a.statements.is_empty()) {
                continue;
            }
            let e = Emit::new("aws-ecr-push", Fact::ImageWrite(n)).from(Fact::CloudPrincipal(p.index)).tier(3);
            let e = match r.tags {
                Some("MUTABLE") => e,
                Some("IMMUTABLE") => {
                    let moved = UNFIX.iter().map(|a| ask(a)).filter(|a| a.open && !a.statements.is_empty());
                    let Some(moved) = moved.min_by_key(|a| a.unknowns.len()) else { continue };
                    resting(e, &moved, p.index)
                }
                Some(_) => e.unless_known(format!("ecr-tags-mutable:{}", r.name)),
                None => e.unless_known("unread:ecr-describe-repositories"),
            };
            ctx.emit(answers.iter().fold(e, |e, a| resting(e, a, p.index)));
            out.insert(n);
        }
        // An administrator of its account gives itself what a policy lacks.
        if let Some(admin) = world.admin(&r.account) {
            let e = Emit::scope(Fact::ImageWrite(n)).from(admin);
            let e = e.unless_all_known(world.limits(&r.account));
            if let Some((index, _)) = world.of("Account").next().or_else(|| world.of("IamRole").next()) {
                ctx.emit(e.because(cloud(index), "/metadata/name", "", "the repository is of the account"));
                out.insert(n);
            }
        }
    }
    out
}

/// Emits who pushes images, and the containers that run them.
pub fn images(ctx: &mut Ctx<'_>, repositories: &[String]) {
    let aws = ctx.cluster.objects.cloud.iter().any(|o| o.provider() == Provider::Aws);
    if !aws || repositories.is_empty() {
        return;
    }
    let world = World::new(ctx.cluster);
    let writable = pushes(ctx, &world, repositories);
    entry::replaced(ctx, repositories, &|n| writable.contains(&n));
}

/// What makes volumes alike: region, whether they are encrypted if that is known, and the key.
type Alike<'w> = (&'w str, Option<bool>, &'w str);

/// Emits who copies volumes: by a snapshot that is read block by block, or given to an account of the attacker's own where
/// nothing is encrypted. Volumes that are alike share a fact: those that are not encrypted, and those of each key.
pub(super) fn volumes(ctx: &mut Ctx<'_>, world: &World<'_>, keys: &Resources) {
    let all: Vec<(u32, &CloudObject)> = world.of("EbsVolume").collect();
    if all.is_empty() {
        return;
    }
    let mut groups: BTreeMap<Alike<'_>, Vec<(u32, &CloudObject)>> = BTreeMap::new();
    for (index, o) in &all {
        let encrypted = o.spec.get("Encrypted").and_then(serde_json::Value::as_bool);
        groups.entry((world.region_of(o), encrypted, o.text("KmsKeyId"))).or_default().push((*index, *o));
    }
    let snapshots = ["ec2:CreateSnapshot"];
    let able = world.principals.values().filter(|p| world.could(p, &snapshots));
    let able: Vec<&Principal> = able.filter(|p| world.could(p, &[SHARE, BLOCKS[0], BLOCKS[1]])).collect();
    let mut used: BTreeSet<u32> = BTreeSet::new();
    for p in able {
        // Where a policy names single volumes each is asked about.
        let single = world.names(p, ":volume/");
        for ((region, encrypted, key), volumes) in &groups {
            let Some((hub, _)) = volumes.first() else { continue };
            let copies = |volume: &CloudObject| copy(world, keys, p, (*region, *encrypted, *key), volume);
            match single {
                false => {
                    let Some(way) = volumes.first().and_then(|(_, o)| copies(o)) else { continue };
                    used.insert(*hub);
                    let to = Fact::CloudHolds(Access::CopyVolumes, *hub);
                    ctx.emit(way.emit(Emit::new("aws-ebs-snapshot", to).from(Fact::CloudPrincipal(p.index)), p));
                }
                true => {
                    for (index, o) in volumes {
                        let Some(way) = copies(o) else { continue };
                        let e = Emit::new("aws-ebs-snapshot", Fact::CloudResource(*index));
                        let e = way.emit(e.from(Fact::CloudPrincipal(p.index)), p);
                        ctx.emit(e.because(cloud(*index), "/metadata/name", o.metadata.name.clone(), "the volume"));
                    }
                }
            }
        }
    }
    for volumes in groups.values() {
        let Some((hub, _)) = volumes.first() else { continue };
        for (index, o) in volumes {
            let hub = used.contains(hub).then_some(Fact::CloudHolds(Access::CopyVolumes, *hub));
            for from in hub.into_iter().chain(world.admin(&world.account)) {
                let e = Emit::new("aws-ebs-snapshot", Fact::CloudResource(*index)).from(from);
                let limits = if from == Fact::AccountAdmin { world.limits(&world.account) } else { &[] };
                let e = e.unless_all_known(limits);
                let e = e.because(cloud(*index), "/metadata/name", o.metadata.name.clone(), "the volume");
                let e = match node_of(ctx, world, o.text("InstanceId")) {
                    Some((node, id)) => e.because(node, "/spec/providerID", id, "the volume is of this node"),
                    None => e,
                };
                ctx.emit(e);
            }
        }
    }
}

/// Gives a snapshot to another account.
const SHARE: &str = "ec2:ModifySnapshotAttribute";

/// What it takes to read a snapshot block by block: a list of the blocks, and each of them.
const BLOCKS: [&str; 2] = ["ebs:ListSnapshotBlocks", "ebs:GetSnapshotBlock"];

/// How a principal copies a volume.
struct Copy {
    answers: Vec<Answer>,
    decrypts: Option<super::targets::Decrypts>,
    unknown: Option<String>,
}

impl Copy {
    fn emit(&self, e: Emit<'static>, p: &Principal) -> Emit<'static> {
        let e = self.answers.iter().fold(e.tier(3), |e, a| resting(e, a, p.index)).maybe(self.unknown.clone());
        self.decrypts.iter().fold(e, |e, d| d.cited(e))
    }
}

fn copy(
    world: &World<'_>,
    keys: &Resources,
    p: &Principal,
    (region, encrypted, key): Alike<'_>,
    volume: &CloudObject,
) -> Option<Copy> {
    let account = principal::account(&p.arn).unwrap_or_default();
    let context = world.context(&p.arn, account);
    let arn = |what: &str, account: &str| format!("arn:{}:ec2:{region}:{account}:{what}", world.partition);
    let ask = |action: &str, on: &str| world.may(p, action, (on, account), Own::default(), &context);
    // Snapshots have no account in their ARN, and ids of a kind; a policy may name some by patterns.
    let mut snapshots = world.patterns(p, &format!("arn:{}:ec2:", world.partition));
    snapshots.retain(|r| r.contains(":snapshot/"));
    snapshots.insert(arn("snapshot/snap-0123456789abcdef0", ""));
    let best =
        |action: &str| snapshots.iter().map(|s| ask(action, s)).filter(|a| a.open).min_by_key(|a| a.unknowns.len());
    let create = ask("ec2:CreateSnapshot", &arn(&format!("volume/{}", volume.metadata.name), account));
    if !create.open {
        return None;
    }
    let made = best("ec2:CreateSnapshot")?;
    let read = || Some(vec![best(BLOCKS[0])?, best(BLOCKS[1])?]);
    let (ways, decrypts) = match encrypted {
        Some(true) => (read()?, Some(keys.decrypts(world, p, (key, &world.account), "ec2")?)),
        _ => (best(SHARE).map(|a| vec![a]).or_else(read)?, None),
    };
    let unknown = encrypted.is_none().then(|| "unread:ec2-describe-volumes".to_owned());
    let answers = [create, made].into_iter().chain(ways).collect();
    Some(Copy { answers, decrypts, unknown })
}

/// The node that is an instance.
fn node_of(ctx: &Ctx<'_>, world: &World<'_>, instance: &str) -> Option<(Obj, String)> {
    let (index, _) = world.find("Ec2Instance", instance)?;
    let i = world.instances.iter().find(|i| i.instance == index)?;
    let n = ctx.cluster.objects.nodes.get(i.node as usize)?;
    Some((Obj { kind: Kind::Node, index: i.node }, n.spec.provider_id.clone()))
}
