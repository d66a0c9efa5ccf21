//! CloudFormation: two operations of its query protocol, for which a client of its own would be the largest part of the
//! command.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use runnerless_aws::{Credentials, Place};
use tokio::time::{sleep, timeout};

use super::failure::Operation;
use super::xml::{element, elements, plain};
use crate::ports::{Cause, RemoteError, StackFacts, Stacks};

const SHOW: Operation = Operation::new("DescribeStacks", "cloudformation:DescribeStacks");
const DELETE: Operation = Operation::new("DeleteStack", "cloudformation:DeleteStack");

/// What the signature is for.
const SERVICE: &str = "cloudformation";
/// The version of its API.
const VERSION: &str = "2010-05-15";
/// One try; it answers within a second or two.
const LIMIT: Duration = Duration::from_secs(20);
/// Both operations may be repeated.
const TRIES: u32 = 4;
/// The pause before the second try; grows with each. It throttles callers that look often.
const PAUSE: Duration = Duration::from_secs(1);
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// CloudFormation.
#[derive(Clone, Debug)]
pub struct StackService {
    place: Place,
    credentials: Credentials,
    url: String,
}

/// An answer: the status, and the XML.
struct Answer {
    status: u16,
    text: String,
}

impl StackService {
    /// The account's.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials) -> Self {
        let url = format!("{}/", place.address(SERVICE));
        Self { place: place.clone(), credentials: credentials.clone(), url }
    }

    async fn call(&self, operation: Operation, stack: &str) -> Result<String, RemoteError> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", operation.name), ("Version", VERSION), ("StackName", stack)])
            .finish();
        let mut tries = 0;
        loop {
            tries += 1;
            let tried = self.exchange(&form).await;
            let again = match &tried {
                Ok(answer) => answer.status >= 500 || error_code(&answer.text).contains("Throttl"),
                Err(_) => true,
            };
            if again && tries < TRIES {
                sleep(PAUSE * tries).await;
                continue;
            }
            let Answer { status, text } = tried.map_err(|cause| operation.unusable(cause))?;
            if status == 200 {
                return Ok(text);
            }
            let message = element(&text, "Message").map(plain).unwrap_or_default();
            let code = error_code(&text);
            return Err(operation.coded(&code, format!("{status} {code}: {message}").into()));
        }
    }

    async fn exchange(&self, form: &str) -> Result<Answer, Cause> {
        let mut request = HttpRequest::new(SdkBody::from(form));
        request.set_method("POST")?;
        request.set_uri(self.url.as_str())?;
        request.headers_mut().try_insert("content-type", FORM)?;
        for (name, value) in self.signature(form)? {
            request.headers_mut().try_insert(name, value)?;
        }
        let connections = self.place.connections();
        let answered = timeout(LIMIT, async {
            let response = connections.exchange(request).await?;
            let status = response.status().as_u16();
            let body = ByteStream::new(response.into_body()).collect().await?.into_bytes();
            Ok::<_, Cause>(Answer { status, text: String::from_utf8_lossy(&body).into_owned() })
        });
        answered.await.unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs()).into()))
    }

    fn signature(&self, form: &str) -> Result<Vec<(String, String)>, Cause> {
        let identity: Identity = self.credentials.provider().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.place.region)
            .name(SERVICE)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let url = url::Url::parse(&self.url)?;
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let headers = [("content-type", FORM), ("host", host.as_str())];
        let body = SignableBody::Bytes(form.as_bytes());
        let request = SignableRequest::new("POST", self.url.as_str(), headers.into_iter(), body)?;
        let (instructions, _) = sign(request, &params)?.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl Stacks for StackService {
    async fn show(&self, stack: &str) -> Result<Option<StackFacts>, RemoteError> {
        match self.call(SHOW, stack).await {
            Ok(text) => read(&text).map(Some).ok_or_else(|| SHOW.unusable("its answer holds no stack")),
            // A name that no stack has, or had.
            Err(RemoteError::Failed { source, .. }) if source.to_string().contains("does not exist") => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, stack: &str) -> Result<(), RemoteError> {
        self.call(DELETE, stack).await.map(drop)
    }
}

fn error_code(text: &str) -> String {
    element(text, "Code").map(plain).unwrap_or_default()
}

fn read(text: &str) -> Option<StackFacts> {
    let word = |name: &str| element(text, name).map(plain);
    let output = |member| Some((element(member, "OutputKey").map(plain)?, element(member, "OutputValue").map(plain)?));
    let outputs = element(text, "Outputs").unwrap_or_default();
    Some(StackFacts {
        id: word("StackId")?,
        status: word("StackStatus")?,
        reason: word("StackStatusReason").filter(|reason| !reason.is_empty()),
        protected: word("EnableTerminationProtection").as_deref() == Some("true"),
        outputs: elements(outputs, "member").filter_map(output).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As AWS's reference prints it.
    const SHOWN: &str = "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">
  <DescribeStacksResult><Stacks><member>
    <StackName>MyStack</StackName>
    <StackId>arn:aws:cloudformation:us-east-1:123456789:stack/MyStack/aaf549a0-a413-11df-adb3-5081b3858e83</StackId>
    <StackStatusReason>The following resource(s) failed to delete: [A &amp; B].</StackStatusReason>
    <StackStatus>DELETE_FAILED</StackStatus>
    <EnableTerminationProtection>false</EnableTerminationProtection>
    <Outputs><member><OutputKey>LedgerTableName</OutputKey><OutputValue>l-1</OutputValue></member>
      <member><OutputKey>Empty</OutputKey><OutputValue></OutputValue></member></Outputs>
  </member></Stacks></DescribeStacksResult></DescribeStacksResponse>";

    #[test]
    fn a_stack_is_read_with_its_outputs() {
        let facts = read(SHOWN).unwrap();
        assert!(facts.id.ends_with("e83") && !facts.protected);
        assert_eq!(facts.status, "DELETE_FAILED");
        assert_eq!(facts.reason.as_deref(), Some("The following resource(s) failed to delete: [A & B]."));
        assert_eq!((facts.outputs["LedgerTableName"].as_str(), facts.outputs["Empty"].as_str()), ("l-1", ""));
        assert_eq!(read("<DescribeStacksResponse/>"), None);
    }

    #[test]
    fn each_partition_has_its_address() {
        let keys = Credentials { key_id: "k".into(), secret: "s".to_owned().into(), session: None };
        let url = |region, endpoint| StackService::new(&Place::new(region, endpoint), &keys).url;
        assert_eq!(url("eu-west-1", None), "https://cloudformation.eu-west-1.amazonaws.com/");
        assert_eq!(url("cn-north-1", None), "https://cloudformation.cn-north-1.amazonaws.com.cn/");
        assert_eq!(url("eu-west-1", Some("http://127.0.0.1:1/".into())), "http://127.0.0.1:1/");
    }
}
