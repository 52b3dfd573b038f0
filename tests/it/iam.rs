//! The IAM engine: agreement with the oracle, one test a claim of the table, and properties.

use kpath::cli::eval::{Engine, Evaluator};
use kpath::model::Cluster;
use serde_json::{Value, json};

use crate::support::{repo, text};

fn ask(case: &Value) -> Value {
    Evaluator::new(Engine::Iam, &Cluster::default()).line(&case.to_string())
}

#[test]
fn every_case_of_the_oracle_agrees() {
    let generated = text(&repo("testdata/oracles/iam/generated.jsonl.xz"));
    let documented: Value = serde_json::from_str(&text(&repo("testdata/oracles/iam/cases.json"))).unwrap();
    let mut cases: Vec<Value> = generated.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(cases.len(), 1601);
    cases.extend(documented["cases"].as_array().unwrap().iter().cloned());
    assert_eq!(cases.len(), 1646);
    let mut different = Vec::new();
    for c in &cases {
        let answer = ask(c);
        if answer["decision"] != c["expect"] {
            different.push(format!("{} {}: {} instead of {}", c["id"], c["name"], answer, c["expect"]));
        }
        let open = answer["unknown_keys"].as_array().is_some_and(|k| !k.is_empty());
        assert_eq!(open, answer["decision"] == "unknown", "{}: {answer}", c["id"]);
        let cites = answer["statements"].as_array().is_some_and(|s| !s.is_empty());
        assert!(cites || ["implicit_deny", "allow"].contains(&c["expect"].as_str().unwrap()), "{}: {answer}", c["id"]);
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

const USER: &str = "arn:aws:iam::111122223333:user/bob";
const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/app/s1";
const ROLE: &str = "arn:aws:iam::111122223333:role/app";
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/k";
const OBJECT: &str = "arn:aws:s3:::bucket/a/b";

/// A policy of these statements.
fn policy(statements: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn allow(action: &str, resource: &str) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": resource})
}

fn everything() -> Value {
    policy(json!([allow("*", "*")]))
}

/// A request of the user for the object, with an identity policy that allows everything; `changes` replaces fields.
fn case(changes: Value) -> Value {
    let mut c = json!({"principal": USER, "action": "s3:GetObject", "resource": OBJECT, "resource_account": "111122223333",
        "context": {}, "identity": [everything()], "boundary": null, "session": null, "resource_policy": null, "scps": null, "rcps": null});
    for (k, v) in changes.as_object().unwrap() {
        c[k] = v.clone();
    }
    c
}

fn decision(changes: Value) -> String {
    let answer = ask(&case(changes));
    answer["decision"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// An identity policy that allows under this condition.
fn under(condition: Value) -> Value {
    json!([{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}}])
}

/// A policy of the resource that allows this principal everything.
fn lets(principal: Value) -> Value {
    policy(json!([{"Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*"}]))
}

macro_rules! claims {
    ($($(#[$doc:meta])* $name:ident: [$($changes:expr => $wanted:literal),* $(,)?];)*) => {
        $($(#[$doc])* #[test] fn $name() { $(assert_eq!(decision($changes), $wanted, "{}", stringify!($changes));)* })*
    };
}

claims! {
    actions_do_not_differ_by_case: [
        json!({"identity": [policy(json!([allow("S3:getobject", "*")]))]}) => "allow",
        json!({"identity": [policy(json!([allow("s3:Get?bject", "*")]))]}) => "allow",
        json!({"identity": [policy(json!([allow("s3:Get?object", "*")]))]}) => "implicit_deny",
    ];
    resources_differ_by_case_and_a_star_crosses_slashes: [
        json!({"identity": [policy(json!([allow("*", "arn:aws:s3:::bucket/*")]))]}) => "allow",
        json!({"identity": [policy(json!([allow("*", "arn:aws:s3:::Bucket/*")]))]}) => "implicit_deny",
    ];
    a_deny_of_what_is_not_listed_spares_each_that_is: [
        json!({"identity": [everything(), policy(json!([{"Effect": "Deny", "Action": "*", "NotResource": ["arn:aws:s3:::other", OBJECT]}]))]}) => "allow",
        json!({"identity": [everything(), policy(json!([{"Effect": "Deny", "NotAction": "s3:Get*", "Resource": "*"}]))]}) => "allow",
        json!({"identity": [everything(), policy(json!([{"Effect": "Deny", "NotAction": "ec2:*", "Resource": "*"}]))]}) => "explicit_deny",
    ];
    variables_have_no_value_before_2012: [
        json!({"identity": [{"Statement": allow("*", "arn:aws:s3:::${aws:username}/*")}], "context": {"aws:username": "bucket"}}) => "implicit_deny",
        json!({"identity": [policy(json!(allow("*", "arn:aws:s3:::${aws:username}/*")))], "context": {"aws:username": "bucket"}}) => "allow",
    ];
    a_variable_without_value_matches_nothing_but_its_default_does: [
        json!({"identity": [policy(json!(allow("*", "arn:aws:s3:::bucket${aws:x}*")))]}) => "implicit_deny",
        json!({"identity": [policy(json!(allow("*", "arn:aws:s3:::${aws:x, 'bucket'}/*")))]}) => "allow",
        json!({"identity": [policy(json!(allow("*", "arn:aws:s3:::${aws:x}/*")))], "unknown_keys": ["aws:x"]}) => "unknown",
    ];
    a_key_that_is_absent_fails_what_is_asked_and_passes_what_is_turned: [
        json!({"identity": under(json!({"StringEquals": {"aws:x": "1"}}))}) => "implicit_deny",
        json!({"identity": under(json!({"StringNotEquals": {"aws:x": "1"}}))}) => "allow",
        json!({"identity": under(json!({"StringEqualsIfExists": {"aws:x": "1"}}))}) => "allow",
        json!({"identity": under(json!({"NumericLessThanIfExists": {"aws:x": "1"}}))}) => "allow",
        json!({"identity": under(json!({"Null": {"aws:x": true}}))}) => "allow",
        json!({"identity": under(json!({"Bool": {"aws:x": false}}))}) => "implicit_deny",
        json!({"identity": under(json!({"ForAllValues:StringEquals": {"aws:x": "1"}}))}) => "allow",
        json!({"identity": under(json!({"ForAnyValue:StringNotEquals": {"aws:x": "1"}}))}) => "implicit_deny",
    ];
    values_are_either_and_turned_values_are_neither: [
        json!({"identity": under(json!({"StringEquals": {"aws:x": ["1", "2"]}})), "context": {"aws:x": "2"}}) => "allow",
        json!({"identity": under(json!({"StringNotEquals": {"aws:x": ["1", "2"]}})), "context": {"aws:x": "2"}}) => "implicit_deny",
        json!({"identity": under(json!({"StringEquals": {"aws:x": "1", "aws:y": "1"}})), "context": {"aws:x": "1"}}) => "implicit_deny",
    ];
    of_several_values_all_or_any_must_fit: [
        json!({"identity": under(json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}})), "context": {"aws:tagkeys": ["a", "z"]}}) => "implicit_deny",
        json!({"identity": under(json!({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a", "b"]}})), "context": {"aws:TagKeys": ["a", "z"]}}) => "allow",
        json!({"identity": under(json!({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["a"]}})), "context": {"aws:TagKeys": ["a", "z"]}}) => "allow",
        json!({"identity": under(json!({"ForAllValues:StringNotLike": {"aws:TagKeys": ["a*"]}})), "context": {"aws:TagKeys": ["ab", "z"]}}) => "implicit_deny",
    ];
    only_like_takes_wildcards: [
        json!({"identity": under(json!({"StringEquals": {"aws:userid": "AROA:*"}})), "context": {"aws:userid": "AROA:s1"}}) => "implicit_deny",
        json!({"identity": under(json!({"StringLike": {"aws:userid": "AROA:*"}})), "context": {"aws:userid": "AROA:s1"}}) => "allow",
        json!({"identity": under(json!({"StringEqualsIgnoreCase": {"aws:userid": "aroa:S1"}})), "context": {"aws:userid": "AROA:s1"}}) => "allow",
    ];
    arns_match_segment_by_segment: [
        json!({"identity": under(json!({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:111122223333:*"}})), "context": {"aws:SourceArn": "arn:aws:sns:eu-west-1:111122223333:t:u"}}) => "allow",
        json!({"identity": under(json!({"ArnEquals": {"aws:SourceArn": "arn:aws:sns:*:111122223333:t"}})), "context": {"aws:SourceArn": "arn:aws:sns:a:b:111122223333:t"}}) => "implicit_deny",
        json!({"identity": under(json!({"ArnNotLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}})), "context": {"aws:SourceArn": "arn:aws:sqs:a:b:c"}}) => "allow",
    ];
    numbers_and_dates_are_no_texts: [
        json!({"identity": under(json!({"NumericGreaterThan": {"s3:max-keys": "9"}})), "context": {"s3:max-keys": "10"}}) => "allow",
        json!({"identity": under(json!({"NumericEquals": {"s3:TlsVersion": 1.20}})), "context": {"s3:TlsVersion": "1.2"}}) => "allow",
        json!({"identity": under(json!({"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}})), "context": {"aws:CurrentTime": "2025-12-31T23:59:59+02:00"}}) => "allow",
        json!({"identity": under(json!({"DateEquals": {"aws:CurrentTime": "1767225600"}})), "context": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}) => "allow",
        json!({"identity": under(json!({"DateGreaterThan": {"aws:CurrentTime": "never"}})), "context": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}}) => "implicit_deny",
    ];
    addresses_of_one_family_are_none_of_the_other: [
        json!({"identity": under(json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})), "context": {"aws:SourceIp": "10.1.2.3"}}) => "allow",
        json!({"identity": under(json!({"NotIpAddress": {"aws:SourceIp": "10.0.0.1"}})), "context": {"aws:SourceIp": "2001:db8::1"}}) => "allow",
    ];
    an_operator_that_is_not_known_leaves_it_open: [
        json!({"identity": under(json!({"StringSounds": {"aws:x": "1"}})), "context": {"aws:x": "1"}}) => "unknown",
    ];
    an_unknown_key_in_a_deny_caps_at_unknown: [
        json!({"identity": [everything(), policy(json!([{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:SourceVpce": "v"}}}]))], "unknown_keys": ["aws:SourceVpce"]}) => "unknown",
        json!({"identity": [policy(json!([{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:SourceVpce": "v"}}}]))], "unknown_keys": ["aws:SourceVpce"]}) => "implicit_deny",
    ];
    a_boundary_allows_nothing_alone: [
        json!({"identity": [], "boundary": everything()}) => "implicit_deny",
        json!({"boundary": policy(json!([allow("ec2:*", "*")]))}) => "implicit_deny",
        json!({"boundary": everything()}) => "allow",
    ];
    named_by_the_resource_a_user_needs_no_more: [
        json!({"identity": [], "resource_policy": lets(json!({"AWS": USER})), "boundary": policy(json!([allow("ec2:*", "*")]))}) => "allow",
        json!({"identity": [], "resource_policy": lets(json!({"AWS": "111122223333"}))}) => "implicit_deny",
        json!({"identity": [], "resource_policy": lets(json!({"AWS": "AIDAEXAMPLE"}))}) => "implicit_deny",
    ];
    named_by_the_resource_a_role_stays_within_its_limits: [
        json!({"principal": SESSION, "identity": [], "resource_policy": lets(json!({"AWS": ROLE}))}) => "allow",
        json!({"principal": SESSION, "identity": [], "resource_policy": lets(json!({"AWS": ROLE})), "session": policy(json!([allow("ec2:*", "*")]))}) => "implicit_deny",
        json!({"principal": SESSION, "identity": [], "resource_policy": lets(json!({"AWS": SESSION})), "session": policy(json!([allow("ec2:*", "*")]))}) => "allow",
    ];
    across_accounts_both_sides_must_allow: [
        json!({"resource_account": "444455556666"}) => "implicit_deny",
        json!({"resource_account": "444455556666", "resource_policy": lets(json!({"AWS": "arn:aws:iam::111122223333:root"}))}) => "allow",
        json!({"resource_account": "444455556666", "identity": [], "resource_policy": lets(json!({"AWS": USER}))}) => "implicit_deny",
        json!({"resource_account": "444455556666", "resource_policy": lets(json!("*")), "s3_restrict_public_buckets": true}) => "implicit_deny",
    ];
    a_key_answers_to_its_account_only_where_its_policy_says_so: [
        json!({"principal": SESSION, "action": "kms:Decrypt", "resource": KEY, "resource_policy": lets(json!({"AWS": "arn:aws:iam::111122223333:role/admin"}))}) => "implicit_deny",
        json!({"principal": SESSION, "action": "kms:Decrypt", "resource": KEY, "resource_policy": lets(json!({"AWS": "arn:aws:iam::111122223333:root"}))}) => "allow",
        json!({"principal": SESSION, "action": "kms:Decrypt", "resource": KEY, "identity": [], "resource_policy": lets(json!({"AWS": "arn:aws:iam::111122223333:root"}))}) => "implicit_deny",
        json!({"principal": SESSION, "action": "kms:Decrypt", "resource": KEY, "identity": [], "resource_policy": lets(json!({"AWS": ROLE}))}) => "allow",
    ];
    a_grant_of_a_key_allows_its_operations: [
        json!({"principal": SESSION, "action": "kms:Decrypt", "resource": KEY, "identity": [], "resource_policy": lets(json!({"AWS": "arn:aws:iam::111122223333:role/admin"})), "grants": [{"GranteePrincipal": ROLE, "Operations": ["Decrypt"]}]}) => "allow",
        json!({"principal": SESSION, "action": "kms:Encrypt", "resource": KEY, "identity": [], "resource_policy": lets(json!({"AWS": "arn:aws:iam::111122223333:role/admin"})), "grants": [{"GranteePrincipal": ROLE, "Operations": ["Decrypt"]}]}) => "implicit_deny",
        json!({"principal": SESSION, "action": "kms:Decrypt", "resource": KEY, "identity": [], "resource_policy": lets(json!({"AWS": "arn:aws:iam::111122223333:role/admin"})), "grants": [{"GranteePrincipal": ROLE, "Operations": ["Decrypt"], "Constraints": {"EncryptionContextEquals": {"a": "b"}}}]}) => "unknown",
    ];
    an_organization_must_allow_at_every_level: [
        json!({"scps": [[everything()], [everything()]]}) => "allow",
        json!({"scps": [[everything()], [policy(json!([allow("ec2:*", "*")]))]]}) => "implicit_deny",
        json!({"scps": [[everything()], []]}) => "implicit_deny",
        json!({"scps": [[everything()], []], "account_is_management": true}) => "allow",
        json!({"principal": "arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForX/s", "principal_role_arn": "arn:aws:iam::111122223333:role/aws-service-role/x/AWSServiceRoleForX", "scps": [[]]}) => "allow",
    ];
    a_control_policy_of_resources_only_denies: [
        json!({"rcps": [[]]}) => "allow",
        json!({"rcps": [[policy(json!([{"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-mine"}}}]))]], "context": {"aws:PrincipalOrgID": "o-other"}}) => "explicit_deny",
    ];
    a_deny_of_all_but_some_names_the_session_too: [
        json!({"principal": SESSION, "resource_policy": policy(json!([{"Effect": "Deny", "NotPrincipal": {"AWS": [ROLE, SESSION, "111122223333"]}, "Action": "*", "Resource": "*"}]))}) => "allow",
        json!({"principal": SESSION, "resource_policy": policy(json!([{"Effect": "Deny", "NotPrincipal": {"AWS": [ROLE, "111122223333"]}, "Action": "*", "Resource": "*"}]))}) => "explicit_deny",
        json!({"principal": SESSION, "boundary": everything(), "resource_policy": policy(json!([{"Effect": "Deny", "NotPrincipal": {"AWS": [ROLE, SESSION, "111122223333"]}, "Action": "*", "Resource": "*"}]))}) => "explicit_deny",
    ];
    a_trust_without_subject_trusts_every_account_of_the_cluster: [
        json!({"principal": "arn:aws:iam::111122223333:oidc-provider/issuer/id", "action": "sts:AssumeRoleWithWebIdentity", "resource": ROLE, "identity": [],
            "context": {"issuer/id:sub": "system:serviceaccount:any:any", "issuer/id:aud": "sts.amazonaws.com"},
            "resource_policy": policy(json!([{"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/issuer/id"}, "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {"StringEquals": {"issuer/id:aud": "sts.amazonaws.com"}}}]))}) => "allow",
    ];
}

#[test]
fn a_line_that_cannot_be_read_is_an_error_that_says_where() {
    for (bad, part) in [
        (json!({"identity": [{"Statement": [{"Effect": "Allow"}]}]}), "identity/0: Statement 0: Action is missing"),
        (json!({"scps": [[{}]]}), "scps/0/0: Statement is missing"),
        (json!({"boundary": "{"}), "boundary: "),
        (json!({"context": {"aws:x": {}}}), "context aws:x"),
        (json!({"identity": 3}), "invalid type"),
    ] {
        let answer = ask(&case(bad));
        assert!(answer["error"].as_str().is_some_and(|e| e.contains(part)), "{answer}");
    }
    // A statement that is named says which.
    let answer = ask(&case(json!({})));
    assert_eq!(
        answer["statements"],
        json!([{"policy": "identity/0", "statement": 0, "effect": "Allow", "certain": true}])
    );
}

/// A random policy near the request.
fn random_policy(rng: &mut fastrand::Rng, principals: bool) -> Value {
    let pick = |rng: &mut fastrand::Rng, of: &[Value]| of[rng.usize(..of.len())].clone();
    let statements: Vec<Value> = (0..rng.usize(1..4))
        .map(|_| {
            let mut s = json!({"Effect": if rng.u8(..3) == 0 { "Deny" } else { "Allow" }});
            let action = pick(
                rng,
                &[json!("s3:GetObject"), json!("s3:*"), json!("*"), json!(["ec2:*", "s3:Get?bject"]), json!("ec2:*")],
            );
            s[if rng.u8(..5) == 0 { "NotAction" } else { "Action" }] = action;
            let resource = pick(
                rng,
                &[json!("*"), json!(OBJECT), json!("arn:aws:s3:::bucket/*"), json!("arn:aws:s3:::${aws:username}/*")],
            );
            s[if rng.u8(..5) == 0 { "NotResource" } else { "Resource" }] = resource;
            if principals {
                s["Principal"] = pick(
                    rng,
                    &[json!("*"), json!({"AWS": USER}), json!({"AWS": "111122223333"}), json!({"AWS": SESSION})],
                );
            }
            if rng.bool() {
                let operators = [
                    "StringEquals",
                    "StringNotEquals",
                    "StringLikeIfExists",
                    "ForAllValues:StringEquals",
                    "Null",
                    "StringNotLike",
                ];
                let key = ["aws:a", "aws:b", "aws:username"][rng.usize(..3)];
                let value = pick(rng, &[json!("1"), json!(["1", "2"]), json!("true"), json!("${aws:b}"), json!("*")]);
                s["Condition"] = json!({operators[rng.usize(..operators.len())]: {key: value}});
            }
            s
        })
        .collect();
    policy(json!(statements))
}

fn random_case(rng: &mut fastrand::Rng) -> Value {
    let mut c = case(json!({"identity": []}));
    c["principal"] = json!([USER, SESSION][rng.usize(..2)]);
    c["resource_account"] = json!(["111122223333", "444455556666"][rng.usize(..2)]);
    c["identity"] = json!((0..rng.usize(..3)).map(|_| random_policy(rng, false)).collect::<Vec<_>>());
    if rng.bool() {
        c["resource_policy"] = random_policy(rng, true);
    }
    for layer in ["boundary", "session"] {
        if rng.u8(..4) == 0 {
            c[layer] = random_policy(rng, false);
        }
    }
    if rng.u8(..4) == 0 {
        c["scps"] = json!([[everything()], [random_policy(rng, false)]]);
    }
    for key in ["aws:a", "aws:b", "aws:username"] {
        if rng.bool() {
            c["context"][key] = json!(["1", "2", "bucket"][rng.usize(..3)]);
        }
    }
    c
}

/// Adding a deny never turns a no into a yes, nor an unknown into one.
#[test]
fn a_deny_more_never_allows_more() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut changed = 0;
    for _ in 0..3000 {
        let before = random_case(&mut rng);
        let mut after = before.clone();
        let mut deny = random_policy(&mut rng, false);
        for s in deny["Statement"].as_array_mut().unwrap() {
            s["Effect"] = json!("Deny");
        }
        after["identity"].as_array_mut().unwrap().push(deny);
        let (a, b) = (ask(&before)["decision"].clone(), ask(&after)["decision"].clone());
        assert!(b != "allow" || a == "allow", "{before}\n{after}");
        assert!(b != "unknown" || a == "unknown" || a == "allow", "{before}\n{after}");
        changed += usize::from(a != b);
    }
    assert!(changed > 200, "{changed}");
}

/// Not to know a key only moves decisions to unknown; each value of it is one that unknown allows for.
#[test]
fn a_key_that_is_not_known_only_opens() {
    let mut rng = fastrand::Rng::with_seed(11);
    let (mut opened, mut kept) = (0, 0);
    for _ in 0..3000 {
        let known = random_case(&mut rng);
        let key = ["aws:a", "aws:b", "aws:username"][rng.usize(..3)];
        let mut unknown = known.clone();
        unknown["context"].as_object_mut().unwrap().remove(key);
        unknown["unknown_keys"] = json!([key]);
        let (a, b) = (ask(&known)["decision"].clone(), ask(&unknown)["decision"].clone());
        let yes = |d: &Value| d == "allow";
        // Of what is denied in any case, only the kind of the denial may differ.
        assert!(b == "unknown" || yes(&a) == yes(&b), "{known}\n{a} {b}");
        match b == "unknown" {
            true => opened += 1,
            false => kept += 1,
        }
    }
    assert!(opened > 100 && kept > 1000, "{opened} {kept}");
}
