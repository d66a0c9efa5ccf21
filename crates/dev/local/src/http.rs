//! A small HTTP client for loopback: the emulator's and the simulator's control calls.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The largest answer that is read.
const LIMIT: usize = 64 << 20;

/// A call that brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request could not be made.
    #[error("{url} cannot be called")]
    Request {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: hyper::http::Error,
    },
    /// Nobody answered.
    #[error("{url} did not answer")]
    NoAnswer {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("{url} did not answer within {limit:?}")]
    Late {
        /// Where.
        url: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The answer is an error.
    #[error("{url} answered {status}: {body}")]
    Refused {
        /// Where.
        url: String,
        /// With what.
        status: StatusCode,
        /// And what it said, cut.
        body: String,
    },
    /// The answer is not what the interface promises.
    #[error("{url} answered something else than expected")]
    Answer {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The client.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Default for Http {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        // Else a request in two writes waits for the other side's delayed acknowledgement, 40 ms.
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector) }
    }
}

impl Http {
    /// Makes one call and takes any answer.
    ///
    /// # Errors
    /// When there is no answer within `limit`.
    pub async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, HttpError> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request =
            request.body(Full::new(body)).map_err(|source| HttpError::Request { url: url.to_owned(), source })?;
        tokio::time::timeout(limit, self.answer(request, url))
            .await
            .unwrap_or_else(|_| Err(HttpError::Late { url: url.to_owned(), limit }))
    }

    async fn answer(&self, request: Request<Full<Bytes>>, url: &str) -> Result<Answer, HttpError> {
        let no_answer = |source| HttpError::NoAnswer { url: url.to_owned(), source };
        let response = self.client.request(request).await.map_err(|error| no_answer(error.into()))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = Limited::new(response.into_body(), LIMIT).collect().await.map_err(no_answer)?.to_bytes();
        Ok(Answer { status, headers, body })
    }

    /// Makes one call with a JSON body (none for null) and reads the JSON answer of a success.
    ///
    /// # Errors
    /// When there is no answer, or it is an error or no JSON.
    pub async fn json(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: &Value,
        limit: Duration,
    ) -> Result<Value, HttpError> {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let answer = self.call(method, url, &all, bytes, limit).await?;
        answer.json(url)
    }
}

impl Answer {
    /// The text of a success.
    ///
    /// # Errors
    /// When it is an error.
    pub fn text(&self, url: &str) -> Result<String, HttpError> {
        self.succeeded(url).map(|()| String::from_utf8_lossy(&self.body).into_owned())
    }

    fn succeeded(&self, url: &str) -> Result<(), HttpError> {
        if self.status.is_success() {
            return Ok(());
        }
        let body: String = String::from_utf8_lossy(&self.body).chars().take(500).collect();
        Err(HttpError::Refused { url: url.to_owned(), status: self.status, body })
    }

    /// The JSON of a success; null for an empty body.
    ///
    /// # Errors
    /// When it is an error or no JSON.
    pub fn json(&self, url: &str) -> Result<Value, HttpError> {
        self.succeeded(url)?;
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|source| HttpError::Answer { url: url.to_owned(), source })
    }
}
