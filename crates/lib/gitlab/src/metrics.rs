//! The metrics of runner managers, over HTTP as Prometheus asks for them: fetched here, read by the decisions.

use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::header::{ACCEPT, DATE, HeaderMap};
use reqwest::{StatusCode, redirect, retry};
use runnerless_core::time::Timestamp;

/// What a runner manager's table may measure at most: a busy one of twenty runners has some 300 KB. A function reads a hundred
/// of them at once.
const TABLE: usize = 1024 * 1024;
/// The text format, in the version that runner managers speak.
const FORMAT: &str = "text/plain;version=0.0.4";

/// A runner manager's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The text, whole.
    pub text: String,
    /// When it was made, by the clock of the machine that it is of; `None` when that does not say.
    pub made_at: Option<Timestamp>,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum NoTable {
    /// Nobody answered, not in time or not to the end.
    #[error("no answer")]
    NoAnswer(#[source] Box<dyn Error + Send + Sync>),
    /// Something else answers there.
    #[error("answered {0}")]
    Status(StatusCode),
    /// It is larger than any table.
    #[error("the answer is larger than {TABLE} bytes")]
    TooLarge,
    /// It is no text.
    #[error("the answer is no UTF-8")]
    NoText(#[source] std::string::FromUtf8Error),
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the client for metrics could not be set up")]
pub struct NoClient(#[source] reqwest::Error);

/// Tells what runner managers answer about themselves.
pub trait Tables: Sync {
    /// One runner manager's metrics.
    ///
    /// # Errors
    /// Why there are none. Nobody may take that for an idle one.
    fn ask(&self, address: IpAddr) -> impl Future<Output = Result<Table, NoTable>> + Send;
}

/// Asks runner managers for their metrics, directly: by no proxy, along no redirect, and each once.
#[derive(Clone, Debug)]
pub struct Exporters {
    http: reqwest::Client,
    port: u16,
}

impl Exporters {
    /// For those that listen on this port; `limit` is how long one may take from the connection to the last byte.
    ///
    /// # Errors
    /// The system does not allow it.
    pub fn new(port: u16, limit: Duration) -> Result<Self, NoClient> {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            // There is no TLS here, and the system's certificates take milliseconds to read.
            .tls_certs_only(Vec::new())
            .timeout(limit)
            // A minute later the next run asks, perhaps from another machine.
            .pool_max_idle_per_host(0);
        Ok(Self { http: builder.build().map_err(NoClient)?, port })
    }
}

impl Tables for Exporters {
    async fn ask(&self, address: IpAddr) -> Result<Table, NoTable> {
        let url = format!("http://{}/metrics", SocketAddr::new(address, self.port));
        let no_answer = |error: reqwest::Error| NoTable::NoAnswer(error.without_url().into());
        let mut answer = self.http.get(url).header(ACCEPT, FORMAT).send().await.map_err(no_answer)?;
        if answer.status() != StatusCode::OK {
            return Err(NoTable::Status(answer.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
            if bytes.len() + chunk.len() > TABLE {
                return Err(NoTable::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        let made_at = made_at(answer.headers());
        Ok(Table { text: String::from_utf8(bytes).map_err(NoTable::NoText)?, made_at })
    }
}

fn made_at(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp(time.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use runnerless_core::chain::chain;

    /// Answers one request with these bytes, and hangs up.
    async fn asked(answer: &'static [u8]) -> Result<Table, NoTable> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            // Who asks may have seen enough before the end.
            let _ = stream.write_all(answer);
            head.join("\n").to_lowercase()
        });
        let exporters = Exporters::new(port, Duration::from_secs(60)).unwrap();
        let table = exporters.ask("127.0.0.1".parse().unwrap()).await;
        let head = serving.join().unwrap();
        assert!(
            head.starts_with("get /metrics http/1.1") && head.contains("accept: text/plain;version=0.0.4"),
            "{head}"
        );
        table
    }

    #[tokio::test]
    async fn a_table_comes_with_the_time_of_its_machine() {
        let table =
            asked(b"HTTP/1.1 200 OK\r\ndate: Mon, 14 Sep 2026 08:15:30 GMT\r\ncontent-length: 4\r\n\r\na 1\n").await;
        let expected = Table { text: "a 1\n".to_owned(), made_at: Some(Timestamp(1_789_373_730_000)) };
        assert_eq!(table.unwrap(), expected);
        for date in ["", "date: yesterday\r\n"] {
            let answer = format!("HTTP/1.1 200 OK\r\n{date}content-length: 0\r\n\r\n").leak();
            assert_eq!(asked(answer.as_bytes()).await.unwrap().made_at, None, "{date}");
        }
    }

    #[tokio::test]
    async fn what_is_no_whole_table_is_none() {
        for (answer, why) in [
            (&b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"[..], "answered 404 Not Found"),
            (
                b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/metrics\r\ncontent-length: 0\r\n\r\n",
                "answered 302",
            ),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na 1\n", "no answer"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\na 1\n\r\n", "no answer"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n\xff", "no UTF-8"),
            (b"", "no answer"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "no answer"),
        ] {
            let said = chain(&asked(answer).await.unwrap_err());
            assert!(said.contains(why), "{said}: {}", String::from_utf8_lossy(answer));
            assert!(!said.contains("http://"), "{said}");
        }
        let mut huge = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        huge.resize(TABLE + 1000, b'#');
        assert!(matches!(asked(huge.leak()).await, Err(NoTable::TooLarge)));
    }

    #[tokio::test]
    async fn who_does_not_answer_in_time_is_left() {
        // It is connected to by the system, and never served.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let exporters = Exporters::new(listener.local_addr().unwrap().port(), Duration::from_millis(1)).unwrap();
        let error = exporters.ask("127.0.0.1".parse().unwrap()).await.unwrap_err();
        let NoTable::NoAnswer(source) = &error else { panic!("{error:?}") };
        assert!(source.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout), "{error:?}");
    }
}
