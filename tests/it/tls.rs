//! One TLS provider: two in one process panic at start.

use crate::support::repo;

#[test]
fn ring_is_the_only_tls_provider() {
    let lock = std::fs::read_to_string(repo("Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"ring\""));
    for other in ["aws-lc-rs", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{other}\"")), "{other} is in Cargo.lock");
    }
}
