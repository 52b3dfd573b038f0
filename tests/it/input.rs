//! Input: what kubectl writes, manifests, and broken files.

use kpath::model::{Kind, Version};
use kpath::snapshot::import::reader;
use kpath::snapshot::{ClusterOptions, file};

use crate::support::snapshot_of;

fn named(list: &[(&str, &str)]) -> kpath::snapshot::Snapshot {
    snapshot_of(&list.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect::<Vec<_>>())
}

const POD: &str =
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c, image: i}]}\n";

#[test]
fn lists_manifests_and_broken_documents_together() {
    let s = named(&[
        (
            "pods.yaml",
            &format!(
                "\u{feff}# comment\r\n---\r\n{}---\nkind: [broken\n---\n---\n{}",
                POD.replace('\n', "\r\n"),
                POD.replace("name: p", "name: q")
            ),
        ),
        ("notes.yaml", "# only a comment\n"),
        ("empty.json", ""),
        (
            "secrets.metadata.json",
            r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","items":[{"metadata":{"name":"s","namespace":"n"}}]}"#,
        ),
        ("roles.json", r#"{"kind":"List","apiVersion":"v1","items":null}"#),
        ("knative.yaml", "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: x}\n"),
    ]);
    assert_eq!(s.objects.pods.len(), 2);
    assert_eq!(s.objects.secrets.len(), 1);
    assert!(s.objects.services.is_empty(), "a kind of the same name in another group is another kind");
    assert!(s.read.contains(&Kind::Role), "an empty list counts as read");
    let reasons: Vec<&str> = s.gaps.iter().map(|g| g.reason.as_str()).collect();
    for part in ["malformed YAML", "only comments", "empty", "does not read"] {
        assert!(reasons.iter().any(|r| r.contains(part)), "{part} in {reasons:?}");
    }
}

#[test]
fn one_malformed_object_costs_only_itself() {
    let s = named(&[(
        "dump.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: shop}, spec: {hostPID: maybe, containers: []}}\n- {apiVersion: v1, kind: Pod, metadata: {name: b, name: c, namespace: shop}, spec: {containers: []}}\n- {apiVersion: v1, kind: Pod, metadata: {name: d, namespace: shop}, spec: {containers: []}}\n",
    )]);
    assert_eq!(s.objects.pods.iter().map(|p| p.metadata.name.as_str()).collect::<Vec<_>>(), ["d"]);
    assert_eq!(s.gaps.iter().filter(|g| g.id == "skipped:Pod").count(), 2);
}

#[test]
fn an_unquoted_boolean_is_no_namespace() {
    let s = named(&[("a.yaml", &POD.replace("namespace: shop", "namespace: n"))]);
    assert!(s.objects.pods.is_empty());
    assert!(s.gaps.iter().any(|g| g.id == "skipped:Pod" && g.reason.contains("boolean")), "{:?}", s.gaps);
}

#[test]
fn the_newer_copy_wins_and_copies_are_counted() {
    let pod = |rv: &str, uid: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"{uid}\",\"resourceVersion\":\"{rv}\"}},\"spec\":{{\"containers\":[]}}}}"
        )
    };
    let s = named(&[("a.json", &format!("{}\n{}", pod("100", "new"), pod("99", "old")))]);
    assert_eq!(s.objects.pods[0].metadata.uid, "new");
    assert!(s.gaps.iter().any(|g| g.reason.contains("came twice")));
}

#[test]
fn pods_are_derived_only_from_controllers_without_pods() {
    let deploy = |name: &str, replicas: u8| {
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  replicas: {replicas}\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec: {{containers: [{{name: c, image: i}}]}}\n"
        )
    };
    let own = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: busy-1, namespace: shop, labels: {app: busy}}\nspec: {containers: [{name: c, image: i}]}\n";
    let s = named(&[("m.yaml", &format!("{}{}{}{own}", deploy("web", 2), deploy("off", 0), deploy("busy", 1)))]);
    let cluster = s.into_cluster(&ClusterOptions::default());
    let names: Vec<&str> = cluster.objects.pods.iter().map(|p| p.metadata.name.as_str()).collect();
    assert_eq!(names, ["busy-1", "web"]);
    assert!(
        cluster.objects.pods[1].spec.containers[0]
            .volume_mounts
            .iter()
            .any(|m| m.mount_path.contains("serviceaccount")),
        "admission adds the token"
    );
    assert!(cluster.source.version_assumed);
}

#[test]
fn no_secret_value_is_kept() {
    let s = named(&[(
        "a.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop, annotations: {kubectl.kubernetes.io/last-applied-configuration: CANARY}}\ndata: {k: CANARY}\nstringData: {k: CANARY}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shop}\ndata: {k: CANARY}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c, image: i, args: [CANARY], command: [CANARY], env: [{name: A, value: CANARY}]}]}\n",
    )]);
    for kind in Kind::ALL {
        for line in s.objects.lines(*kind) {
            assert!(!line.contains("CANARY"), "{line}");
        }
    }
    assert_eq!(s.objects.secrets.len() + s.objects.config_maps.len() + s.objects.pods.len(), 3);
}

#[test]
fn a_snapshot_reads_back_the_same_and_refuses_other_formats() {
    let s = named(&[("a.yaml", POD), ("version.json", r#"{"serverVersion":{"gitVersion":"v1.35.1-eks"}}"#)]);
    assert_eq!(s.version, Version::parse("1.35.1"));
    let mut bytes = Vec::new();
    file::to_writer(&s, &mut bytes).unwrap();
    let mut again = Vec::new();
    file::to_writer(&s, &mut again).unwrap();
    assert_eq!(bytes, again, "the same snapshot gives the same bytes");
    let back = file::from_reader(bytes.as_slice(), "x.kpath").unwrap();
    assert_eq!(back.objects.pods, s.objects.pods);
    assert_eq!((back.version, &back.read), (s.version, &s.read));
    let cut = file::from_reader(&bytes[..bytes.len() / 2], "x.kpath").unwrap_err().to_string();
    assert!(cut.contains("x.kpath"), "{cut}");
    assert!(file::from_reader(b"kind: Pod".as_slice(), "x").unwrap_err().to_string().contains("no kpath snapshot"));
    let text = zstd::decode_all(bytes.as_slice()).unwrap();
    let at = text.windows(11).position(|w| w == b"\"format\": 1").unwrap();
    let mut newer = text.clone();
    newer[at + 10] = b'9';
    let packed = zstd::encode_all(newer.as_slice(), 1).unwrap();
    let error = file::from_reader(packed.as_slice(), "x").unwrap_err().to_string();
    assert!(error.contains("update kpath"), "{error}");
    let mut older = text;
    older[at + 10] = b'0';
    let packed = zstd::encode_all(older.as_slice(), 1).unwrap();
    assert!(file::from_reader(packed.as_slice(), "x").unwrap_err().to_string().contains("take a new snapshot"));
}

#[test]
fn nothing_to_read_is_an_error_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cut.json"), "{\"kind\":\"PodList\",\"items\":[{").unwrap();
    std::fs::write(dir.path().join("readme.txt"), "hello").unwrap();
    let e = reader::read(dir.path()).unwrap_err().to_string();
    assert!(e.contains("malformed JSON") && e.contains("hint"), "{e}");
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        std::fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xff.yaml")), POD).unwrap();
        let s = reader::read(dir.path()).unwrap();
        assert_eq!(s.objects.pods.len(), 1);
        assert!(s.gaps.iter().any(|g| g.file == "readme.txt"));
    }
}
