//! Who makes a request, and whether a statement means it (IAM User Guide, "AWS JSON policy elements: Principal" and
//! "NotPrincipal").

use super::policy::{Listed, Named};

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A user, or the root of an account: its ARN.
    User(String),
    /// A session of a role: its ARN, and that of the role.
    Session(String, String),
    /// Somebody with a token of an identity provider: the ARN of the provider.
    Federated(String),
    /// A service of AWS: `ec2.amazonaws.com`.
    Service(String),
    /// Somebody without any credential.
    Anonymous,
}

/// How a statement means a caller; the strongest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// Not at all.
    Not,
    /// By its account: what the account allows it counts.
    Account,
    /// By its role.
    Role,
    /// Itself: user, session, provider or service, or everyone.
    Itself,
}

/// The account of an ARN; `None` where it has none.
pub fn account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|a| !a.is_empty())
}

impl Caller {
    /// Reads the ARN of a user, of a session or of a provider, or the name of a service. The ARN of a session has the
    /// name of its role without the path; `role` has it whole where it is known.
    pub fn parse(text: &str, role: Option<&str>) -> Self {
        let resource = text.splitn(6, ':').nth(5).unwrap_or_default();
        if let Some(name) = resource.strip_prefix("assumed-role/").and_then(|r| r.split('/').next()) {
            let account = account(text).unwrap_or_default();
            let partition = text.split(':').nth(1).unwrap_or("aws");
            let own = || format!("arn:{partition}:iam::{account}:role/{name}");
            return Caller::Session(text.to_owned(), role.map_or_else(own, str::to_owned));
        }
        if resource.starts_with("oidc-provider/") || resource.starts_with("saml-provider/") {
            return Caller::Federated(text.to_owned());
        }
        if text.starts_with("arn:") { Caller::User(text.to_owned()) } else { Caller::Service(text.to_owned()) }
    }

    /// Its account; `None` for a service.
    pub fn account(&self) -> Option<&str> {
        match self {
            Caller::User(arn) | Caller::Session(arn, _) | Caller::Federated(arn) => account(arn),
            Caller::Service(_) | Caller::Anonymous => None,
        }
    }

    /// Whether organizations do not limit it: a role that is linked to a service.
    pub fn is_service_linked(&self) -> bool {
        matches!(self, Caller::Session(_, role) if role.contains(":role/aws-service-role/"))
    }

    /// How a list of principals means it. A list that is turned round means everyone but those that it has; the account
    /// of a principal does not stand for the principal there.
    pub fn means(&self, principals: Option<&Listed<Named>>) -> Means {
        let Some(p) = principals else { return Means::Itself };
        if !p.not {
            return p.list.iter().map(|n| self.one(n)).max().unwrap_or(Means::Not);
        }
        if self.spared(&p.list) { Means::Not } else { Means::Itself }
    }

    fn one(&self, named: &Named) -> Means {
        match (named, self) {
            (Named::Everyone, _) => Means::Itself,
            (Named::Aws(name), Caller::User(arn)) if name == arn => Means::Itself,
            (Named::Aws(name), Caller::Session(arn, _)) if name == arn => Means::Itself,
            (Named::Aws(name), Caller::Session(_, role)) if name == role => Means::Role,
            (Named::Aws(name), Caller::User(_) | Caller::Session(..)) if self.is_of(name) => Means::Account,
            (Named::Service(name), Caller::Service(own)) if name == own => Means::Itself,
            (Named::Federated(name), Caller::Federated(arn)) if name == arn => Means::Itself,
            _ => Means::Not,
        }
    }

    /// Whether a name is that of its account: the id, or the ARN of the root.
    fn is_of(&self, name: &str) -> bool {
        let Some(own) = self.account() else { return false };
        name == own || (name.ends_with(":root") && account(name) == Some(own))
    }

    /// Whether a turned list has it: itself by name, its role too where it is a session.
    fn spared(&self, list: &[Named]) -> bool {
        let has = |arn: &str| list.iter().any(|n| matches!(n, Named::Aws(x) if x == arn));
        let everyone = list.contains(&Named::Everyone);
        everyone
            || match self {
                Caller::User(arn) => has(arn),
                Caller::Session(arn, role) => has(arn) && has(role),
                Caller::Federated(arn) => list.contains(&Named::Federated(arn.clone())),
                Caller::Service(name) => list.contains(&Named::Service(name.clone())),
                Caller::Anonymous => false,
            }
    }
}
