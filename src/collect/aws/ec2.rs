//! The one call of EC2, signed here: the crate of that service alone is larger than all others together.

use std::time::SystemTime;

use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::TransientErrorClassifier;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Failure, without_nulls};
use super::{ATTEMPT, ATTEMPTS, Session};
use crate::collect::fetch::{causes, encode};

const NAME: &str = "ec2-describe-instances";
const ACTION: &str = "ec2:DescribeInstances";

/// Version of the Query API (EC2 API Reference).
const VERSION: &str = "2016-11-15";

/// Most pages, far above what an account may run.
const PAGES: usize = 2_000;

/// Instances of the region, without what users put into them.
pub(super) async fn calls(session: &Session<'_>) -> Vec<Call> {
    let bar = (session.progress)("ec2");
    let mut reservations: Vec<Value> = Vec::new();
    let mut token = String::new();
    let mut result = Err(Failure::Other("the pages do not end".into()));
    for _ in 0..PAGES {
        match page(session, &token).await {
            Ok(answer) => {
                reservations.extend(answer.reservations());
                bar.set_position(reservations.len() as u64);
                token = answer.next_token.unwrap_or_default();
                if token.is_empty() {
                    result = Ok(without_nulls(json!({"Reservations": reservations})));
                    break;
                }
            }
            Err(failure) => {
                result = Err(failure);
                break;
            }
        }
    }
    bar.finish_and_clear();
    vec![Call { name: NAME.into(), action: ACTION, result }]
}

/// Where EC2 of a region answers (Service endpoints and quotas; the domain is that of the partition).
fn endpoint(region: &str) -> String {
    let domain = match region {
        r if r.starts_with("cn-") => "amazonaws.com.cn",
        r if r.starts_with("us-isob-") => "sc2s.sgov.gov",
        r if r.starts_with("us-isof-") => "csp.hci.ic.gov",
        r if r.starts_with("us-iso-") => "c2s.ic.gov",
        r if r.starts_with("eu-isoe-") => "cloud.adc-e.uk",
        r if r.starts_with("eusc-") => "amazonaws.eu",
        _ => "amazonaws.com",
    };
    format!("https://ec2.{region}.{domain}")
}

async fn page(session: &Session<'_>, token: &str) -> Result<Answer, Failure> {
    let region = session.config.region().map(|r| r.as_ref().to_owned()).unwrap_or_default();
    let url = session.config.endpoint_url().map_or_else(|| endpoint(&region), str::to_owned);
    let request = signed(session, &url, &region, token).await?;
    let attempts = session.config.retry_config().map_or(ATTEMPTS, RetryConfig::max_attempts);
    let mut operation = Operation::builder()
        .service_name("EC2")
        .operation_name("DescribeInstances")
        .http_client(session.http.clone())
        .endpoint_url(&url)
        .no_auth()
        .standard_retry(&RetryConfig::standard().with_max_attempts(attempts))
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build());
    if let Some(sleep) = session.config.sleep_impl() {
        operation = operation.sleep_impl(sleep);
    }
    let operation = operation
        .retry_classifier(Busy)
        .retry_classifier(TransientErrorClassifier::<Refused>::new())
        .serializer(move |(): ()| request.try_clone().ok_or_else(|| "the request cannot be repeated".into()))
        .deserializer(read)
        .build();
    operation.invoke(()).await.map_err(|e| match e {
        SdkError::ServiceError(e) => e.into_err().0,
        SdkError::TimeoutError(_) => Failure::Other("no answer in time".into()),
        other => Failure::Other(causes(&other)),
    })
}

/// One request, signed with the credentials of the session (Signature Version 4).
async fn signed(session: &Session<'_>, url: &str, region: &str, token: &str) -> Result<HttpRequest, Failure> {
    let missing = || Failure::Credential("no credentials".into());
    let provider = session.config.credentials_provider().ok_or_else(missing)?;
    let identity = provider.provide_credentials().await.map_err(|e| Failure::Credential(e.to_string()))?.into();
    let form: Vec<(&str, &str)> =
        [("Action", "DescribeInstances"), ("Version", VERSION), ("MaxResults", "1000"), ("NextToken", token)]
            .into_iter()
            .filter(|(_, v)| !v.is_empty())
            .collect();
    let body: String = form.iter().map(|(k, v)| format!("{k}={}", encode(v))).collect::<Vec<_>>().join("&");
    let other = |e: &dyn std::error::Error| Failure::Other(e.to_string());
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("ec2")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|e| other(&e))?
        .into();
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    let url = format!("{}/", url.trim_end_matches('/'));
    let signable = SignableRequest::new(
        "POST",
        &url,
        std::iter::once(("content-type", kind)),
        SignableBody::Bytes(body.as_bytes()),
    )
    .map_err(|e| other(&e))?;
    let (instructions, _) = sign(signable, &parameters).map_err(|e| other(&e))?.into_parts();
    let mut request = http::Request::post(&url)
        .header(http::header::CONTENT_TYPE, kind)
        .body(SdkBody::from(body))
        .map_err(|e| other(&e))?;
    instructions.apply_to_request_http1x(&mut request);
    HttpRequest::try_from(request).map_err(|e| other(&e))
}

/// Why there is no answer, as the orchestrator wants it.
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Refused(Failure, bool);

/// Answers that ask for another attempt.
#[derive(Debug)]
struct Busy;

impl aws_smithy_runtime_api::client::retries::classifiers::ClassifyRetry for Busy {
    fn classify_retry(
        &self,
        context: &aws_smithy_runtime_api::client::interceptors::context::InterceptorContext,
    ) -> aws_smithy_runtime_api::client::retries::classifiers::RetryAction {
        use aws_smithy_runtime_api::client::retries::classifiers::RetryAction;
        let busy = context
            .output_or_error()
            .and_then(Result::err)
            .and_then(|e| e.as_operation_error().and_then(|e| e.downcast_ref::<Refused>()).map(|r| r.1));
        if busy == Some(true) { RetryAction::throttling_error() } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "EC2 is busy"
    }
}

fn read(response: &HttpResponse) -> Result<Answer, OrchestratorError<Refused>> {
    let text = response.body().bytes().and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default();
    if response.status().is_success() {
        let strange = |why: String| {
            OrchestratorError::operation(Refused(Failure::Other(format!("the answer cannot be read: {why}")), false))
        };
        let answer: Answer = quick_xml::de::from_str(text).map_err(|e| strange(e.to_string()))?;
        // A page of something else that stands between has no list of instances.
        return answer
            .reservation_set
            .is_some()
            .then_some(answer)
            .ok_or_else(|| strange("it has no reservations".into()));
    }
    let said: Errors = quick_xml::de::from_str(text).unwrap_or_default();
    let error = said.errors.error.into_iter().next().unwrap_or_default();
    let busy =
        response.status().is_server_error() || error.code == "RequestLimitExceeded" || error.code == "Throttling";
    let words = match error.message.is_empty() {
        true => format!("the service answered {}", response.status().as_u16()),
        false => error.message,
    };
    Err(OrchestratorError::operation(Refused(Failure::new(Some(&error.code), words), busy)))
}

/// The answer, as far as it is read. Lists are elements `item` of an element.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    reservation_set: Option<Items<Reservation>>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Items<T> {
    item: Vec<T>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Items { item: Vec::new() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reservation {
    instances_set: Items<Instance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Instance {
    instance_id: String,
    private_dns_name: Option<String>,
    iam_instance_profile: Option<Profile>,
    metadata_options: Option<Metadata>,
    instance_state: Option<State>,
    placement: Option<Placement>,
    block_device_mapping: Items<Device>,
    tag_set: Items<Tag>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Profile {
    arn: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    http_endpoint: Option<String>,
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<i64>,
    http_protocol_ipv6: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Placement {
    availability_zone: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Device {
    ebs: Option<Volume>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Volume {
    volume_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tag {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Errors {
    #[serde(rename = "Errors")]
    errors: ErrorList,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorList {
    #[serde(rename = "Error")]
    error: Vec<Error>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Error {
    code: String,
    message: String,
}

impl Answer {
    /// The reservations as the AWS CLI prints them.
    fn reservations(&self) -> Vec<Value> {
        let instance = |i: &Instance| {
            let metadata = i.metadata_options.as_ref().map(|m| {
                json!({
                    "HttpEndpoint": m.http_endpoint, "HttpTokens": m.http_tokens,
                    "HttpPutResponseHopLimit": m.http_put_response_hop_limit, "HttpProtocolIpv6": m.http_protocol_ipv6,
                })
            });
            let tags: Vec<Value> = i.tag_set.item.iter().map(|t| json!({"Key": t.key, "Value": t.value})).collect();
            let devices = i.block_device_mapping.item.iter().filter_map(|d| d.ebs.as_ref());
            let devices: Vec<Value> = devices.map(|e| json!({"Ebs": {"VolumeId": e.volume_id}})).collect();
            json!({
                "BlockDeviceMappings": devices,
                "Placement": i.placement.as_ref().map(|p| json!({"AvailabilityZone": p.availability_zone})),
                "InstanceId": i.instance_id, "PrivateDnsName": i.private_dns_name,
                "IamInstanceProfile": i.iam_instance_profile.as_ref().map(|p| json!({"Arn": p.arn})),
                "MetadataOptions": metadata, "Tags": tags,
                "State": i.instance_state.as_ref().map(|s| json!({"Name": s.name})),
            })
        };
        let reservation =
            |r: &Reservation| json!({"Instances": r.instances_set.item.iter().map(instance).collect::<Vec<_>>()});
        self.reservation_set.iter().flat_map(|s| &s.item).map(reservation).collect()
    }
}
