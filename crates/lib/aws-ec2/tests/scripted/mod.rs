//! A service that gives scripted answers over HTTP.

#![allow(unreachable_pub, reason = "a module of several tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use runnerless_aws::{Credentials, Place};

/// A service that gives these answers in turn, and the last one from then on.
pub struct Scripted {
    pub place: Place,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub fn answering(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::new("us-east-1", Some(format!("http://{}", listener.local_addr().unwrap())));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&bodies);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                seen.lock().unwrap().push(body(&stream));
                let (status, text) =
                    if answers.len() > 1 { answers.pop().unwrap() } else { answers.last().unwrap().clone() };
                let head = format!("content-length: {}\r\nconnection: close\r\n\r\n", text.len());
                stream.write_all(format!("HTTP/1.1 {status} Said\r\n{head}{text}").as_bytes()).unwrap();
            }
        });
        Self { place, bodies }
    }

    /// What was sent so far.
    pub fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }
}

pub fn credentials() -> Credentials {
    Credentials { key_id: "key".to_owned(), secret: "secret".to_owned().into(), session: None }
}

fn body(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "the request is whole");
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}
