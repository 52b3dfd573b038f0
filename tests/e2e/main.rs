//! End-to-end tests against a real API server. `scripts/e2e` starts one, loads it and runs this; `cargo test` alone
//! leaves it out, and needs no Go. The server is a throw-away: objects are created, changed and deleted.

mod access;
mod admission;
mod audit;
mod caller;
mod collecting;
mod commands;
mod faults;
mod objects;
mod program;
#[allow(dead_code, reason = "the other test uses the rest")]
#[path = "../it/server.rs"]
mod server;
mod steps;

use std::path::PathBuf;

use kpath::model::Version;
use libtest_mimic::{Arguments, Failed, Trial};

use caller::Caller;

type Outcome = Result<String, String>;

/// What the checks share.
struct World {
    admin: Caller,
    dir: tempfile::TempDir,
    server: Version,
    /// Connections live on it, so every check uses the same one.
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A check prints what it counted.
fn check<F>(world: &std::sync::Arc<World>, name: &'static str, work: F) -> Trial
where
    F: FnOnce(std::sync::Arc<World>, &tokio::runtime::Runtime) -> Outcome + Send + 'static,
{
    let world = world.clone();
    Trial::test(name, move || {
        let said = work(world.clone(), &world.runtime).map_err(Failed::from)?;
        println!("{name}: {said}");
        Ok(())
    })
}

fn main() {
    let mut arguments = Arguments::from_args();
    // The checks share one cluster, and the audit log is read last.
    arguments.test_threads = Some(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (admin, server) = runtime.block_on(async {
        let admin = Caller::admin().await;
        let version = admin.get("/version").await;
        let server = version.json()["gitVersion"].as_str().and_then(Version::parse);
        let server = server.unwrap_or_else(|| panic!("no server: {version:?}"));
        if std::env::var_os("KPATH_E2E_EMPTY").is_some() {
            return (admin, server); // fixtures mean a cluster of their own: no grant of another object may help
        }
        let mut demo = Vec::new();
        for text in ["cluster", "shop", "platform", "rbac"] {
            let path = format!("{}/testdata/clusters/payment-api/{text}.yaml", env!("CARGO_MANIFEST_DIR"));
            demo.extend(objects::parse(&std::fs::read_to_string(path).unwrap()));
        }
        objects::put_all(&admin, &demo).await;
        objects::put_all(&admin, &objects::random_rbac(&mut fastrand::Rng::with_seed(1))).await;
        objects::put_all(&admin, &objects::pods(&demo)).await;
        collecting::accounts(&admin).await;
        (admin, server)
    });
    let world = std::sync::Arc::new(World { admin, dir: tempfile::tempdir().unwrap(), server, runtime });
    let checks = vec![
        check(&world, "snapshot_holds_everything", |w, r| r.block_on(collecting::everything(&w.admin, w.dir.path()))),
        check(&world, "secret_types", |w, r| {
            let snapshot = program::snapshot(&w.path("whole.kpath"));
            r.block_on(collecting::secret_types(&w.admin, &snapshot))
        }),
        check(&world, "permissions_and_less", |w, r| {
            let snapshot = program::snapshot(&w.path("whole.kpath"));
            r.block_on(collecting::roles(&w.admin, w.dir.path(), &snapshot))
        }),
        check(&world, "impersonation_flags", |w, r| r.block_on(collecting::impersonation(&w.admin, w.dir.path()))),
        check(&world, "kubeconfigs", |w, r| r.block_on(collecting::kubeconfigs(&w.admin, w.dir.path()))),
        check(&world, "faults", |w, r| faults::all(&w.admin, r, w.dir.path())),
        check(&world, "verify_commands", |w, _| commands::run_all(w.dir.path())),
        check(&world, "subject_access_reviews", |w, r| {
            let path = w.path("access.kpath");
            program::snapshot(&path);
            r.block_on(access::reviews(&w.admin, path.to_str().unwrap()))
        }),
        check(&world, "pod_security", |w, r| r.block_on(admission::pod_security(&w.admin))),
        check(&world, "automount", |w, r| r.block_on(admission::automount(&w.admin, w.dir.path()))),
        check(&world, "steps", |w, r| {
            let only = std::env::var("KPATH_E2E_STEP").ok();
            let shown = r.block_on(steps::all(&w.admin, w.server, only.as_deref()));
            if only.is_none() {
                steps::write(&shown, w.server)?;
            }
            if !shown.wrong.is_empty() {
                return Err(shown.wrong.join("\n"));
            }
            Ok(format!("{} attempts of {} techniques, as kpath says", shown.count, steps::SHOWN.len()))
        }),
        check(&world, "zz_audit_log", |_, _| match std::env::var("KPATH_E2E_AUDIT") {
            Ok(path) => audit::only_reads(&path),
            Err(_) => Ok("this cluster's audit log is not at hand: not read".into()),
        }),
    ];
    let conclusion = libtest_mimic::run(&arguments, checks);
    if conclusion.num_passed + conclusion.num_failed == 0 && !arguments.list {
        eprintln!("no check of that name");
        std::process::exit(1);
    }
    conclusion.exit();
}
