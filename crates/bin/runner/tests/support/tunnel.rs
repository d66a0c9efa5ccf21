//! A proxy on 127.0.0.1 as companies have one: `CONNECT`, a password, and a record of where it led.

use std::io::{BufRead, BufReader, Write as _, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Basic credentials `team:open`, as a header has them.
const CREDENTIALS: &str = "Basic dGVhbTpvcGVu";

/// It ends with the process.
#[derive(Clone)]
pub(crate) struct Tunnel {
    /// With its user and password.
    pub(crate) url: String,
    targets: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://team:open@{}", listener.local_addr().unwrap());
        let tunnel = Self { url, targets: Arc::default() };
        let accepting = tunnel.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = accepting.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        tunnel
    }

    /// Where it led, in order: `host:port`.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }

    fn serve(&self, mut client: TcpStream) {
        let mut reader = BufReader::new(client.try_clone().unwrap());
        // Who comes without the password is told so, and may say it on the same connection.
        let target = loop {
            match request(&mut reader) {
                None => return,
                Some((target, true)) => break target,
                Some((_, false)) => {
                    let refusal =
                        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"tunnel\"\r\n";
                    let _ = client.write_all(format!("{refusal}Content-Length: 0\r\n\r\n").as_bytes());
                }
            }
        };
        let Ok(server) = TcpStream::connect(&target) else {
            let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            return;
        };
        self.targets.lock().unwrap().push(target);
        if client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").is_err() {
            return;
        }
        let (mut to_server, mut from_server) = (server.try_clone().unwrap(), server);
        thread::spawn(move || {
            let _ = copy(&mut reader, &mut to_server);
            let _ = to_server.shutdown(Shutdown::Write);
        });
        let _ = copy(&mut from_server, &mut client);
        let _ = client.shutdown(Shutdown::Both);
    }
}

/// The next `CONNECT`'s target, and whether it came with the password; `None` when nothing comes, or something else.
fn request(reader: &mut impl BufRead) -> Option<(String, bool)> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let is_password = |line: &String| {
        let (name, value) = line.split_once(':').unwrap_or_default();
        name.eq_ignore_ascii_case("proxy-authorization") && value.trim() == CREDENTIALS
    };
    let target = head.first()?.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    Some((target, head.iter().any(is_password)))
}
