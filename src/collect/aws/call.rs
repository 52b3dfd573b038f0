//! One call: its name as the AWS CLI spells it, the action that it needs, and its answer or why there is none.

use std::error::Error;
use std::fmt::Debug;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::Value;

use crate::collect::fetch::causes;

/// A call that was made.
#[derive(Debug)]
pub(super) struct Call {
    /// Name, with the object that it was about: `kms-get-key-policy-ID`.
    pub(super) name: String,
    /// IAM action that it needs.
    pub(super) action: &'static str,
    /// The answer in the form that the AWS CLI prints.
    pub(super) result: Result<Value, Failure>,
}

/// Why a call has no answer.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The credential may not do it.
    Denied(String),
    /// The credential is not, or no longer, one.
    Credential(String),
    /// Anything else, such as no connection.
    Other(String),
}

impl Failure {
    /// From the code and the words of an error.
    pub(super) fn new(code: Option<&str>, words: String) -> Self {
        match code {
            Some(
                "AccessDenied"
                | "AccessDeniedException"
                | "UnauthorizedOperation"
                | "UnauthorizedException"
                | "AuthorizationError",
            ) => Failure::Denied(words),
            Some(
                "ExpiredToken"
                | "ExpiredTokenException"
                | "RequestExpired"
                | "InvalidClientTokenId"
                | "UnrecognizedClientException"
                | "AuthFailure"
                | "SignatureDoesNotMatch"
                | "InvalidSignatureException"
                | "InvalidAccessKeyId"
                | "MissingAuthenticationToken",
            ) => Failure::Credential(words),
            _ => Failure::Other(words),
        }
    }

    /// The reason for a gap: what failed, how often, what to do.
    pub(super) fn reason(&self, action: &str, times: usize) -> String {
        let objects = if times > 1 { format!(" for {times} objects, of the first:") } else { String::new() };
        match self {
            Failure::Denied(words) => {
                format!("denied: needs {action}{objects} ({words}); `kpath permissions --aws` prints the policy")
            }
            Failure::Credential(words) => {
                format!("{action} failed{objects} ({words}); log in again, or name another profile with --aws-profile")
            }
            Failure::Other(words) => {
                format!("{action} failed{objects} ({words}); what depends on it is unknown, try again")
            }
        }
    }
}

/// The outcome of a call of the SDK. `instead` lists error codes that are answers too, such as that there is no policy.
pub(super) fn outcome<T, E, R>(
    name: impl Into<String>,
    action: &'static str,
    result: Result<T, SdkError<E, R>>,
    instead: &[(&str, Value)],
    answer: impl FnOnce(&T) -> Value,
) -> Call
where
    E: Error + ProvideErrorMetadata + 'static,
    R: Debug + 'static,
{
    let result = match result {
        Ok(output) => match without_nulls(answer(&output)) {
            Value::Null => Err(Failure::Other("the answer is empty".into())),
            value => Ok(value),
        },
        Err(error) => match instead.iter().find(|(code, _)| Some(*code) == error.code()) {
            Some((_, value)) => Ok(value.clone()),
            None => Err(failure(&error)),
        },
    };
    Call { name: name.into(), action, result }
}

/// The AWS CLI does not print what an answer leaves out.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// Why a call of the SDK failed.
pub(super) fn failure<E, R>(error: &SdkError<E, R>) -> Failure
where
    E: Error + ProvideErrorMetadata + 'static,
    R: Debug + 'static,
{
    match error {
        SdkError::ServiceError(_) => {
            let words = error.message().or(error.code()).map_or_else(|| causes(error), str::to_owned);
            Failure::new(error.code(), words)
        }
        SdkError::TimeoutError(_) => Failure::Other("no answer in time".into()),
        other => {
            let words = causes(other);
            if words.contains("no credentials found") {
                return Failure::Credential("no credentials found".into());
            }
            // What a program of the user wrote may be anything.
            let words = words.split(" Stderr:").next().unwrap_or_default().to_owned();
            match words.contains("credential") || words.contains("security token") {
                true => Failure::Credential(words),
                false => Failure::Other(words),
            }
        }
    }
}

/// A text that the API may leave out.
pub(super) fn text(value: Option<&str>) -> &str {
    value.unwrap_or_default()
}

/// A time as the AWS CLI prints it.
pub(super) fn time(value: Option<&DateTime>) -> Option<String> {
    value.and_then(|t| t.fmt(Format::DateTime).ok())
}

/// The last segment of an ARN or a path: how calls name their objects.
pub(super) fn last(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().unwrap_or(arn)
}
