//! HTTP/1.1 over one blocking connection: a head, a body of known length, and the same back.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for a byte; everything here is on one machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest head or body.
const LIMIT: u64 = 64 << 20;

/// A message: a request or an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its first line, without the line's end.
    pub start: String,
    /// Its header lines, without their ends.
    pub headers: Vec<String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Message {
    /// A request with a body of a type; `host` and the length are added.
    #[must_use]
    pub fn request(method: &str, path: &str, host: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Self {
        let mut lines = vec![format!("Host: {host}"), format!("Content-Length: {}", body.len())];
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        Self { start: format!("{method} {path} HTTP/1.1"), headers: lines, body }
    }

    /// Reads one; `None` when the other side closed the connection before it.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no HTTP with a known length.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = from.take(LIMIT);
        let Some(start) = line(&mut head)? else { return Ok(None) };
        let mut message = Self { start, ..Self::default() };
        loop {
            match line(&mut head)? {
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(line) if line.is_empty() => break,
                Some(line) => message.headers.push(line),
            }
        }
        let length = message.header("content-length").map_or(Ok(0), str::parse).map_err(|_| bad("content-length"))?;
        if message.header("transfer-encoding").is_some() || length > LIMIT {
            return Err(bad("a body of unknown or immense length"));
        }
        from.take(length).read_to_end(&mut message.body)?;
        if message.body.len() as u64 == length { Ok(Some(message)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Writes it in one piece.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn write(&self, to: &mut TcpStream) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(1024 + self.body.len());
        for line in std::iter::once(&self.start).chain(&self.headers) {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        to.write_all(&bytes)
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.trim()))
    }

    /// Method and path of a request.
    #[must_use]
    pub fn target(&self) -> (&str, &str) {
        let mut words = self.start.split(' ');
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    /// The status of an answer; 0 when there is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }
}

/// A connection that answers are read from.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn to(host: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(host)?;
        prepare(&stream)?;
        Ok(Self { stream: BufReader::new(stream), host: host.to_owned() })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> io::Result<Message> {
        let request = Message::request(method, path, &self.host, headers, body);
        self.pass(&request)
    }

    /// Sends a request as it is and waits for its answer.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn pass(&mut self, request: &Message) -> io::Result<Message> {
        request.write(self.stream.get_mut())?;
        Message::read(&mut self.stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Small messages go out at once, and nobody is waited for without end.
///
/// # Errors
/// When the kernel refuses.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))
}

/// The host and port of an `http://` URL.
#[must_use]
pub fn host_of(url: &str) -> Option<&str> {
    url.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or(rest))
}

/// A line without its end; `None` at the end of everything.
fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut text = String::new();
    if from.read_line(&mut text)? == 0 {
        return Ok(None);
    }
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(Some(text))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_whole_and_no_further() {
        let mut two = &b"PUT /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n"[..];
        let first = Message::read(&mut two).unwrap().unwrap();
        assert_eq!((first.target(), first.body.as_slice()), (("PUT", "/x"), &b"abc"[..]));
        assert_eq!(Message::read(&mut two).unwrap().unwrap().target(), ("GET", "/"));
        assert_eq!(Message::read(&mut two).unwrap(), None);
    }

    #[test]
    fn what_ends_early_or_has_no_length_is_an_error() {
        for text in [
            "PUT /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
            "PUT /x HTTP/1.1\r\nContent-Length: 3\r\n",
            "PUT /x HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            "PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(Message::read(&mut text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_host_of_a_url() {
        assert_eq!(host_of("http://127.0.0.1:80/x"), Some("127.0.0.1:80"));
        assert_eq!(host_of("https://h"), None);
    }
}
