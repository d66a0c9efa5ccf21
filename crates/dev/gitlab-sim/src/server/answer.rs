//! An answer, before it becomes HTTP.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// What hyper sends.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An answer.
pub(crate) struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers beside `Content-Type`.
    pub headers: Vec<(String, String)>,
    /// The body's type; none for an empty body.
    pub content_type: Option<&'static str>,
    /// The body.
    pub content: Content,
    /// The job that it is about, for the record.
    pub job: Option<u64>,
}

/// A body.
pub(crate) enum Content {
    /// Known bytes.
    Bytes(Bytes),
    /// Lines that come as they happen.
    Stream(BoxStream<'static, Bytes>),
}

impl Answer {
    /// JSON.
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::bytes(status, "application/json", value.to_string())
    }

    /// `{"message": ...}`, as GitLab writes errors.
    pub(crate) fn message(status: u16, message: impl Into<String>) -> Self {
        Self::json(status, &json!({ "message": message.into() }))
    }

    /// `{"error": ...}`, as Grape writes them.
    pub(crate) fn error(status: u16, error: impl Into<String>) -> Self {
        Self::json(status, &json!({ "error": error.into() }))
    }

    /// Bytes of a type.
    pub(crate) fn bytes(status: u16, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self::of(status, Some(content_type), Content::Bytes(bytes.into()))
    }

    /// No body.
    pub(crate) fn empty(status: u16) -> Self {
        Self::of(status, None, Content::Bytes(Bytes::new()))
    }

    /// Lines that come as they happen.
    pub(crate) fn lines(stream: BoxStream<'static, Bytes>) -> Self {
        Self::of(200, Some(LINES), Content::Stream(stream))
    }

    /// Any body.
    pub(crate) fn of(status: u16, content_type: Option<&'static str>, content: Content) -> Self {
        Self { status, headers: Vec::new(), content_type, content, job: None }
    }

    /// With one more header.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// As HTTP; with `cut`, the body breaks off after so many bytes.
    pub(crate) fn into_http(self, cut: Option<usize>) -> Response<Body> {
        let length = match &self.content {
            Content::Bytes(bytes) => Some(bytes.len()),
            Content::Stream(_) => None,
        };
        let mut response = Response::new(body(self.content, cut));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(kind) = self.content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let (Some(length), Some(_)) = (length, cut) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.append(name, value);
            }
        }
        response
    }
}

/// JSON lines.
pub(crate) const LINES: &str = "application/x-ndjson";

fn body(content: Content, cut: Option<usize>) -> Body {
    match (content, cut) {
        (Content::Bytes(bytes), None) => Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync(),
        (Content::Bytes(bytes), Some(cut)) => {
            let kept = bytes.slice(..cut.min(bytes.len()));
            let broken = async {
                // The pause lets what was written so far leave before the connection breaks.
                tokio::task::yield_now().await;
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by a fault"))
            };
            StreamBody::new(stream::iter([Ok(Frame::data(kept))]).chain(stream::once(broken))).boxed_unsync()
        }
        (Content::Stream(lines), _) => {
            StreamBody::new(lines.map(Ok::<_, io::Error>).map_ok(Frame::data)).boxed_unsync()
        }
    }
}
