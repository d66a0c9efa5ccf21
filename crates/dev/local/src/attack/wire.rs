//! One HTTP request, byte by byte as a case wants it: header names as they are written, doubled ones, and bodies of any
//! bytes. A client of the usual kind would mend what is to be sent.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::request::Request;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The most of an answer that is read.
const MOST: u64 = 1 << 20;

/// There is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Nobody is there, or whoever is hung up.
    #[error("{0} cannot be reached, or hung up")]
    Connection(String, #[source] io::Error),
    /// It took too long.
    #[error("{0} did not answer within {LIMIT:?}")]
    Late(String),
    /// The answer begins otherwise.
    #[error("{0} answered something that is not HTTP: {1:?}")]
    NotHttp(String, String),
}

/// Sends the request to `address` (host and port) and takes the status of the answer. What HTTP cannot do without is
/// added where the case does not give it: `Host`, and the body's length.
pub(super) async fn send(
    address: &str,
    host: &str,
    method: &str,
    path: &str,
    request: &Request,
) -> Result<u16, WireError> {
    let bytes = bytes(host, method, path, request);
    let answer = tokio::time::timeout(LIMIT, exchange(address, &bytes)).await;
    let answer = answer.map_err(|_| WireError::Late(address.to_owned()))?;
    let answer = answer.map_err(|source| WireError::Connection(address.to_owned(), source))?;
    status(&answer).ok_or_else(|| {
        let begin: String = String::from_utf8_lossy(&answer).chars().take(80).collect();
        WireError::NotHttp(address.to_owned(), begin)
    })
}

fn bytes(host: &str, method: &str, path: &str, request: &Request) -> Vec<u8> {
    let has = |wanted: &str| request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !has("host") {
        head.push_str(&format!("Host: {host}\r\n"));
    }
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !has("content-length") && !has("transfer-encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    bytes
}

/// The answer may come before the request is sent whole: a server that refuses a large body does not read it.
async fn exchange(address: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let write = async move {
        writer.write_all(bytes).await?;
        // Held open: a client that closes its half looks as if it had left.
        Ok::<_, io::Error>(writer)
    };
    let read = async move {
        let mut answer = Vec::new();
        let ended = reader.take(MOST).read_to_end(&mut answer).await;
        if answer.is_empty() { ended.map(|_| answer) } else { Ok(answer) }
    };
    let (written, answer) = tokio::join!(write, read);
    match answer {
        Ok(answer) if answer.is_empty() => written.map(|_| answer),
        other => other,
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let version = words.next()?;
    version.starts_with("HTTP/1.").then(|| words.next())??.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_as_it_is_written() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request =
            Request { headers: vec![pair("X-Gitlab-TOKEN", "a"), pair("x-gitlab-token", "")], body: vec![0xff, 0] };
        let sent = bytes("api.example", "POST", "/webhook", &request);
        let expected = b"POST /webhook HTTP/1.1\r\nHost: api.example\r\nX-Gitlab-TOKEN: a\r\nx-gitlab-token: \r\n\
            Content-Length: 2\r\nConnection: close\r\n\r\n\xff\0";
        assert_eq!(sent, expected);
        let own = Request { headers: vec![pair("HOST", "b"), pair("content-length", "9")], body: vec![] };
        let sent = String::from_utf8(bytes("api.example", "GET", "/", &own)).unwrap();
        assert_eq!(sent, "GET / HTTP/1.1\r\nHOST: b\r\ncontent-length: 9\r\nConnection: close\r\n\r\n");
    }

    #[test]
    fn a_status_is_read_from_http_only() {
        assert_eq!(status(b"HTTP/1.1 403 Forbidden\r\n\r\n"), Some(403));
        assert_eq!(status(b"HTTP/1.1 200\r\n\r\n"), Some(200));
        for other in [&b""[..], b"SSH-2.0", b"HTTP/1.1", b"HTTP/1.1 x\r\n"] {
            assert_eq!(status(other), None);
        }
    }
}
