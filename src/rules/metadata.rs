//! Which pods get through to the metadata service of their node.

use rustc_hash::FxHashMap;

use super::ctx::{Ctx, Emit};
use super::fact::Fact;
use crate::model::kind::{Kind, Obj};
use crate::netpol::network::{Judged, Network};
use crate::netpol::ports::{Ports, Protocol};
use crate::netpol::{Direction, End};

/// Address and port of the metadata service of AWS, Google Cloud and Azure.
pub const METADATA: ([u8; 4], u16) = ([169, 254, 169, 254], 80);

/// What network policies say of the way from pods to an address.
pub struct Way<'n, 'c> {
    network: &'n Network<'c>,
    to: ([u8; 4], u16),
    /// The pods of a class are alike to every policy.
    known: FxHashMap<u32, Judged>,
}

impl<'n, 'c> Way<'n, 'c> {
    /// The way to an address and a port.
    pub fn new(network: &'n Network<'c>, to: ([u8; 4], u16)) -> Self {
        Way { network, to, known: FxHashMap::default() }
    }

    /// Whether a pod connects.
    pub fn judge(&mut self, pod: u32) -> Judged {
        let class = self.network.engine.classes().of.get(pod as usize).copied().flatten();
        let (address, port) = self.to;
        let ask = || {
            let to = End::Address(std::net::IpAddr::from(address));
            self.network.judge(End::Pod(pod), to, &Ports::one(Protocol::Tcp, port))
        };
        match class {
            Some(c) => self.known.entry(c).or_insert_with(ask).clone(),
            None => ask(),
        }
    }
}

/// What answers on the other side: the field that says so, and what leaves it open.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Object, pointer and value.
    pub because: (Obj, String, String),
    /// What it says.
    pub why: &'static str,
    /// Id of an unknown.
    pub unknown: Option<String>,
}

/// Emits the step of each running container of a pod that gets through.
pub fn emit(ctx: &mut Ctx<'_>, p: u32, judged: &Judged, step: &dyn Fn() -> Emit<'static>, answers: &Answers) {
    let Some(pod) = ctx.cluster.objects.pods.get(p as usize).filter(|p| !p.finished()) else { return };
    let decided = judged.events.iter().find(|e| e.direction == Direction::Egress && e.policy.is_some());
    let o = Obj { kind: Kind::Pod, index: p };
    for (id, c) in judged.ways().iter().flat_map(|w| pod.running_containers().map(move |c| (w.clone(), c.ordinal))) {
        let e = step().from(Fact::Exec(p, c)).maybe(id).maybe(answers.unknown.clone());
        let e = match decided.and_then(|d| Some((d, d.policy?))) {
            Some((d, policy)) => {
                let pointer = d.rule.map_or("/spec".to_owned(), |r| r.pointer());
                e.because(policy, pointer, d.ports.to_string(), d.why)
            }
            None if pod.spec.host_network => {
                e.because(o, "/spec/hostNetwork", "true", "the pod is in the network of its node")
            }
            None => e.because(o, "/metadata/namespace", "", "no policy limits what the pod may connect to"),
        };
        let (object, pointer, value) = answers.because.clone();
        ctx.emit(e.because(object, pointer, value, answers.why));
    }
}
