//! The metadata service of one instance, on a port of its own: IMDSv2 as EC2's guide describes it, without version 1.
//!
//! `PUT /latest/api/token` gives a token for so many seconds; every other request must bring one. Switched off, it answers
//! everything with 403.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::register::Register;
use super::role::Role;
use crate::aws::{ACCOUNT, REGION};
use crate::demo::{said, tell};

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
/// Where a group has its member go; not there for others.
const TARGET: &str = "meta-data/autoscaling/target-lifecycle-state";
/// The longest life of a token: six hours.
const LONGEST: u64 = 21_600;

/// What an instance can read about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) id: String,
    pub(crate) image: String,
    pub(crate) kind: String,
    pub(crate) zone: String,
    pub(crate) address: String,
    pub(crate) spot: bool,
    /// None where the launch template keeps them out.
    pub(crate) tags: Option<BTreeMap<String, String>>,
    pub(crate) user_data: Vec<u8>,
    /// Whether its launch template has a metadata service.
    pub(crate) on: bool,
}

/// The running service; it ends with this value.
#[derive(Debug)]
pub(crate) struct Service {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Service {
    /// Listens on a free port of loopback.
    pub(crate) async fn start(facts: Facts, role: Option<Role>, register: Arc<Register>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let metadata = Arc::new(Metadata { facts, role, register, tokens: Mutex::default() });
        Ok(Self { address, task: tokio::spawn(accept(listener, metadata)) })
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, metadata: Arc<Metadata>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, Arc::clone(&metadata)))),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, metadata: Arc<Metadata>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let metadata = Arc::clone(&metadata);
        async move { Ok::<_, Infallible>(metadata.answer(&request).await) }
    });
    // An error is a caller that left.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

struct Metadata {
    facts: Facts,
    role: Option<Role>,
    register: Arc<Register>,
    /// Until when each is good.
    tokens: Mutex<HashMap<String, Instant>>,
}

impl Metadata {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        if !self.facts.on || self.register.is_hidden(&self.facts.id) {
            return plain(StatusCode::FORBIDDEN, "403 - Forbidden");
        }
        let path = request.uri().path();
        if path == "/latest/api/token" {
            return match (request.method(), header("x-forwarded-for")) {
                (&Method::PUT, None) => self.token(header(TTL)),
                (&Method::PUT, Some(_)) => plain(StatusCode::FORBIDDEN, "403 - Forbidden"),
                _ => plain(StatusCode::METHOD_NOT_ALLOWED, "405 - Method Not Allowed"),
            };
        }
        if !header(TOKEN).is_some_and(|token| self.is_good(token)) {
            return plain(StatusCode::UNAUTHORIZED, "401 - Unauthorized");
        }
        if request.method() != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "405 - Method Not Allowed");
        }
        match self.find(&decoded(path)).await {
            Some(found) => with(StatusCode::OK, found),
            None => plain(StatusCode::NOT_FOUND, "404 - Not Found"),
        }
    }

    fn token(&self, seconds: Option<&str>) -> Response<Full<Bytes>> {
        let seconds = seconds.and_then(|text| text.parse().ok()).filter(|ttl| (1..=LONGEST).contains(ttl));
        let mut random = [0; 32];
        let (Some(seconds), Ok(())) = (seconds, getrandom::fill(&mut random)) else {
            return plain(StatusCode::BAD_REQUEST, "400 - Bad Request");
        };
        let token = hex::encode(random);
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(token.clone(), Instant::now() + Duration::from_secs(seconds));
        let mut response = plain(StatusCode::OK, &token);
        response.headers_mut().insert(TTL, seconds.into());
        response
    }

    fn is_good(&self, token: &str) -> bool {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).is_some_and(|until| Instant::now() < *until)
    }

    /// What is at a path.
    async fn find(&self, path: &str) -> Option<Bytes> {
        let path = path.strip_prefix("/latest/")?;
        match (path.strip_prefix("meta-data/iam/"), &self.role) {
            (Some(_), None) => None,
            (Some(path), Some(role)) => self.of_role(path, role).await,
            (None, _) if path == TARGET => self.register.target(&self.facts.id).map(Bytes::from),
            (None, _) => found(&self.facts, self.register.warned(&self.facts.id), path),
        }
    }

    async fn of_role(&self, path: &str, role: &Role) -> Option<Bytes> {
        let answer = match path.trim_end_matches('/').strip_prefix("security-credentials") {
            Some("") => role.name().await.map(Bytes::from),
            Some(named) => match role.name().await {
                Ok(name) if named.strip_prefix('/') == Some(name.as_str()) => {
                    role.credentials(Timestamp::now()).await.map(|document| document.to_string().into())
                }
                Ok(_) => return None,
                Err(error) => Err(error),
            },
            None => return None,
        };
        // As on AWS the instance learns nothing but that there is none.
        answer.inspect_err(|error| tell(&format!("instance {}: {}", self.facts.id, said(error)))).ok()
    }
}

/// What needs nobody else.
fn found(facts: &Facts, warned: Option<Timestamp>, path: &str) -> Option<Bytes> {
    let region = REGION;
    let text = |text: &str| Some(Bytes::from(text.to_owned()));
    match path {
        "user-data" => Some(facts.user_data.clone().into()),
        "dynamic/instance-identity/document" => {
            let document = json!({"accountId": ACCOUNT, "region": region, "availabilityZone": facts.zone,
                "instanceId": facts.id, "instanceType": facts.kind, "imageId": facts.image, "privateIp": facts.address});
            text(&document.to_string())
        }
        "meta-data/instance-id" => text(&facts.id),
        "meta-data/instance-type" => text(&facts.kind),
        "meta-data/ami-id" => text(&facts.image),
        "meta-data/local-ipv4" => text(&facts.address),
        "meta-data/instance-life-cycle" => text(if facts.spot { "spot" } else { "on-demand" }),
        "meta-data/placement/availability-zone" => text(&facts.zone),
        "meta-data/placement/region" => text(region),
        "meta-data/spot/instance-action" => {
            let at = warned?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            text(&json!({"action": "terminate", "time": at}).to_string())
        }
        _ => {
            let tags = facts.tags.as_ref()?;
            let key = path.strip_prefix("meta-data/tags/instance")?;
            match key {
                "" | "/" => text(&tags.keys().cloned().collect::<Vec<_>>().join("\n")),
                _ => tags.get(key.strip_prefix('/')?).and_then(|value| text(value)),
            }
        }
    }
}

fn decoded(path: &str) -> String {
    // The one escape that is no address's: a plus is a plus here.
    let pair = format!("x={}", path.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    with(status, Bytes::from(text.to_owned()))
}

fn with(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_reads_its_tags_only_where_the_launch_template_lets_it() {
        let tags =
            BTreeMap::from([("runnerless:launch".to_owned(), "l-1".to_owned()), ("b".to_owned(), String::new())]);
        let mut facts = Facts { id: "i-1".to_owned(), tags: Some(tags), ..Facts::default() };
        let read = |facts: &Facts, path: &str| {
            found(facts, None, path).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
        };
        assert_eq!(read(&facts, "meta-data/tags/instance").as_deref(), Some("b\nrunnerless:launch"));
        assert_eq!(read(&facts, "meta-data/tags/instance/").as_deref(), Some("b\nrunnerless:launch"));
        assert_eq!(read(&facts, "meta-data/tags/instance/runnerless:launch").as_deref(), Some("l-1"));
        assert_eq!(read(&facts, "meta-data/tags/instance/c"), None);
        assert_eq!(read(&facts, "meta-data/tags/instances"), None);
        facts.tags = None;
        assert_eq!(read(&facts, "meta-data/tags/instance/runnerless:launch"), None);
        assert_eq!(decoded("/latest/meta-data/tags/instance/a%3Ab+c"), "/latest/meta-data/tags/instance/a:b+c");
    }

    #[test]
    fn a_spot_instance_is_warned_by_its_metadata() {
        let facts = Facts::default();
        assert_eq!(found(&facts, None, "meta-data/spot/instance-action"), None);
        let at = "2026-11-24T08:22:00Z".parse().unwrap();
        let warned = found(&facts, Some(at), "meta-data/spot/instance-action").unwrap();
        assert_eq!(warned, br#"{"action":"terminate","time":"2026-11-24T08:22:00Z"}"#.as_slice());
    }
}
