//! Whether a set of rules covers another (`component-helpers/auth/rbac/validation/policy_comparator.go`).

use crate::model::rbac::PolicyRule;

/// The parts of `wanted` that no single rule of `held` covers; empty when everything is covered.
pub fn missing(held: &[&PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut out = Vec::new();
    for part in wanted.iter().flat_map(break_down) {
        if !held.iter().any(|h| covers(h, &part)) && !out.contains(&part) {
            out.push(part);
        }
    }
    out
}

/// Splits a rule into rules of one verb, group, resource and name each.
fn break_down(rule: &PolicyRule) -> Vec<PolicyRule> {
    let mut out = Vec::new();
    let one = |s: &String| vec![s.clone()];
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let base = PolicyRule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..PolicyRule::default()
                };
                if rule.resource_names.is_empty() {
                    out.push(base);
                } else {
                    out.extend(
                        rule.resource_names.iter().map(|n| PolicyRule { resource_names: one(n), ..base.clone() }),
                    );
                }
            }
        }
    }
    for url in &rule.non_resource_urls {
        for verb in &rule.verbs {
            out.push(PolicyRule { verbs: one(verb), non_resource_urls: one(url), ..PolicyRule::default() });
        }
    }
    out
}

fn covers(owner: &PolicyRule, part: &PolicyRule) -> bool {
    let has = |list: &[String], v: &str| list.iter().any(|x| x == v);
    let all = |list: &[String], wanted: &[String]| has(list, "*") || wanted.iter().all(|w| has(list, w));
    let resources = has(&owner.resources, "*")
        || part.resources.iter().all(|r| {
            has(&owner.resources, r)
                || r.split_once('/').is_some_and(|(_, sub)| has(&owner.resources, &format!("*/{sub}")))
        });
    let names = match (part.resource_names.is_empty(), owner.resource_names.is_empty()) {
        (_, true) => true,
        (true, false) => false,
        (false, false) => part.resource_names.iter().all(|n| has(&owner.resource_names, n)),
    };
    let urls = part.non_resource_urls.iter().all(|u| {
        owner
            .non_resource_urls
            .iter()
            .any(|o| o == u || o.strip_suffix('*').is_some_and(|p| u.starts_with(p.trim_end_matches('*'))))
    });
    all(&owner.verbs, &part.verbs) && all(&owner.api_groups, &part.api_groups) && resources && names && urls
}

/// A rule in the form of the server's messages.
pub fn describe(rule: &PolicyRule) -> String {
    let list = |v: &[String]| v.iter().map(|x| format!("{x:?}")).collect::<Vec<_>>().join(" ");
    let mut parts = Vec::new();
    if !rule.non_resource_urls.is_empty() {
        parts.push(format!("NonResourceURLs:[{}]", list(&rule.non_resource_urls)));
    } else {
        parts.push(format!("APIGroups:[{}], Resources:[{}]", list(&rule.api_groups), list(&rule.resources)));
        if !rule.resource_names.is_empty() {
            parts.push(format!("ResourceNames:[{}]", list(&rule.resource_names)));
        }
    }
    format!("{{{}, Verbs:[{}]}}", parts.join(", "), list(&rule.verbs))
}
