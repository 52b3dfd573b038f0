//! Sysctls that Pod Security calls safe, by the version that added them (`check_sysctls.go`).

/// Safe sysctls with the minor version of the policy that first allows each.
pub const SAFE: [(&str, u32); 12] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.ping_group_range", 0),
    ("net.ipv4.ip_unprivileged_port_start", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_wmem", 32),
];

/// Whether the policy of that minor version allows the sysctl.
pub fn is_safe(name: &str, minor: u32) -> bool {
    SAFE.iter().any(|(n, since)| *n == name && *since <= minor)
}
