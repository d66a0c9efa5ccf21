//! Which AWS operation a request is, in any of AWS's protocols.
//!
//! - JSON 1.0 and 1.1: `X-Amz-Target: <prefix>.<Operation>`;
//! - query and EC2: `Action=<Operation>` in the query or the form body;
//! - RPC v2: `/service/<name>/operation/<Operation>`;
//! - REST: method and path; Lambda and S3, which the stack uses, by name, any other as `<METHOD> /<first segment>`.

use hyper::{HeaderMap, Method, Uri};

/// Who called what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The key that signed it; `None` for a call without a signature.
    pub access_key: Option<String>,
    /// The service, as signatures and policies name it.
    pub service: Option<String>,
    /// The operation, as policies name it but for `lambda:Invoke`, which they call `lambda:InvokeFunction`.
    pub operation: String,
}

impl Call {
    /// Reads a request; `form` is its body when [`is_form`] says that it may name the action.
    #[must_use]
    pub fn read(method: &Method, uri: &Uri, headers: &HeaderMap, form: Option<&[u8]>) -> Self {
        let query = uri.query().unwrap_or_default();
        let scope = credential(headers, query);
        let mut parts = scope.as_deref().unwrap_or_default().split('/');
        let access_key = parts.next().filter(|key| !key.is_empty()).map(str::to_owned);
        let service = parts.nth(2).map(str::to_owned);
        let operation = target(headers)
            .or_else(|| parameter(query, "Action"))
            .or_else(|| form.and_then(|body| std::str::from_utf8(body).ok()).and_then(|body| parameter(body, "Action")))
            .or_else(|| rpc(uri.path()))
            .unwrap_or_else(|| rest(service.as_deref(), method, uri));
        Self { access_key, service, operation }
    }

    /// As faults name it: `ec2:CreateFleet`.
    #[must_use]
    pub fn op(&self) -> String {
        format!("{}:{}", self.service.as_deref().unwrap_or("none"), self.operation)
    }
}

/// Whether the action may be in the body.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    text(headers, "content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// The credential scope: `<key>/<date>/<region>/<service>/aws4_request`.
fn credential(headers: &HeaderMap, query: &str) -> Option<String> {
    let header = text(headers, "authorization").and_then(|value| {
        let rest = value.split_once("Credential=")?.1;
        Some(rest.split([',', ' ']).next().unwrap_or(rest).to_owned())
    });
    header.or_else(|| parameter(query, "X-Amz-Credential"))
}

fn target(headers: &HeaderMap) -> Option<String> {
    let target = text(headers, "x-amz-target")?;
    Some(target.rsplit('.').next().unwrap_or(target).to_owned())
}

/// A form's or query's parameter; only names and scopes are read, whose one encoded letter is the slash.
fn parameter(form: &str, name: &str) -> Option<String> {
    let pair = form.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))?;
    Some(pair.1.replace("%2F", "/").replace("%2f", "/"))
}

fn rpc(path: &str) -> Option<String> {
    path.strip_prefix("/service/")?.split_once("/operation/").map(|(_, operation)| operation.to_owned())
}

fn rest(service: Option<&str>, method: &Method, uri: &Uri) -> String {
    let path = uri.path();
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let named = match service {
        Some("lambda") => lambda(method, segments.get(1..).unwrap_or_default()),
        Some("s3") => s3(method, &segments),
        _ => None,
    };
    named.map_or_else(|| format!("{method} /{}", segments.first().copied().unwrap_or_default()), str::to_owned)
}

fn lambda(method: &Method, path: &[&str]) -> Option<&'static str> {
    Some(match (method.as_str(), path) {
        ("POST", ["functions", _, "invocations"]) => "Invoke",
        ("POST", ["functions", _, "invoke-async"]) => "InvokeAsync",
        ("GET", ["functions"]) => "ListFunctions",
        ("POST", ["functions"]) => "CreateFunction",
        ("GET", ["functions", _]) => "GetFunction",
        ("DELETE", ["functions", _]) => "DeleteFunction",
        ("GET", ["functions", _, "configuration"]) => "GetFunctionConfiguration",
        ("PUT", ["functions", _, "configuration"]) => "UpdateFunctionConfiguration",
        ("PUT", ["functions", _, "code"]) => "UpdateFunctionCode",
        ("GET", ["functions", _, "concurrency"]) => "GetFunctionConcurrency",
        ("PUT", ["functions", _, "concurrency"]) => "PutFunctionConcurrency",
        ("GET", ["functions", _, "event-invoke-config"]) => "GetFunctionEventInvokeConfig",
        ("PUT", ["functions", _, "event-invoke-config"]) => "PutFunctionEventInvokeConfig",
        ("GET", ["tags", ..]) => "ListTags",
        ("POST", ["tags", ..]) => "TagResource",
        ("GET", ["account-settings"]) => "GetAccountSettings",
        _ => return None,
    })
}

fn s3(method: &Method, path: &[&str]) -> Option<&'static str> {
    Some(match (method.as_str(), path.len()) {
        ("GET", 0) => "ListBuckets",
        ("GET", 1) => "ListObjectsV2",
        ("PUT", 1) => "CreateBucket",
        ("HEAD", 1) => "HeadBucket",
        ("GET", _) => "GetObject",
        ("PUT", _) => "PutObject",
        ("HEAD", _) => "HeadObject",
        ("DELETE", 2..) => "DeleteObject",
        _ => return None,
    })
}

/// A header's text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: Method, uri: &str, headers: &[(&'static str, &str)], form: Option<&str>) -> (String, String) {
        let map = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let call = Call::read(&method, &uri.parse().unwrap(), &map, form.map(str::as_bytes));
        (call.access_key.clone().unwrap_or_default(), call.op())
    }

    fn signed(service: &str) -> (&'static str, String) {
        let scope = format!("AKID/20261124/us-east-1/{service}/aws4_request");
        ("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=ab"))
    }

    #[test]
    fn json_targets_actions_rpc_and_rest_paths_are_named() {
        let named = |service: &str, method: Method, uri: &str, more: &[(&'static str, &str)], form| {
            let (name, value) = signed(service);
            let mut headers = vec![(name, value.as_str())];
            headers.extend_from_slice(more);
            read(method, uri, &headers, form)
        };
        let is = |operation: &str| ("AKID".to_owned(), operation.to_owned());
        let target = [("x-amz-target", "DynamoDB_20120810.TransactWriteItems")];
        assert_eq!(named("dynamodb", Method::POST, "/", &target, None), is("dynamodb:TransactWriteItems"));
        let form = Some("Version=2016-11-15&Action=CreateFleet&Type=instant");
        assert_eq!(named("ec2", Method::POST, "/", &[], form), is("ec2:CreateFleet"));
        assert_eq!(named("sts", Method::GET, "/?Action=GetCallerIdentity", &[], None), is("sts:GetCallerIdentity"));
        let rpc = "/service/GraniteServiceVersion20100801/operation/PutMetricData";
        assert_eq!(named("monitoring", Method::POST, rpc, &[], None), is("monitoring:PutMetricData"));
        let invoke = "/2015-03-31/functions/arn%3Aaws%3Alambda/invocations";
        assert_eq!(named("lambda", Method::POST, invoke, &[], None), is("lambda:Invoke"));
        assert_eq!(named("s3", Method::GET, "/bucket/a/b?versionId=1", &[], None), is("s3:GetObject"));
        assert_eq!(named("apigateway", Method::GET, "/v2/apis", &[], None), is("apigateway:GET /v2"));
    }

    #[test]
    fn presigned_and_unsigned_requests_are_told_apart() {
        let presigned =
            "/bucket/key?X-Amz-Credential=AKID%2F20261124%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=x";
        assert_eq!(read(Method::PUT, presigned, &[], None), ("AKID".into(), "s3:PutObject".into()));
        assert_eq!(read(Method::POST, "/webhook", &[], None), (String::new(), "none:POST /webhook".into()));
    }
}
