//! A storage of files behind signed URLs, on plain sockets, recording every request.

use std::collections::{HashMap, VecDeque};
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::coordinator::{Request, read, write};

/// An answer that a test wants instead of the usual one.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Status and body.
    Status(u16, &'static str),
    /// The connection is closed without an answer.
    Lost,
    /// No answer, and the connection stays.
    Silent,
}

#[derive(Default)]
struct State {
    files: HashMap<String, (Vec<u8>, String)>,
    requests: Vec<Request>,
    faults: VecDeque<Fault>,
}

#[derive(Clone)]
pub struct Storage {
    pub url: String,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Storage {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let storage = Self { url, shared: Arc::default() };
        let accepting = storage.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = accepting.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        storage
    }

    pub fn fault(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.0.lock().unwrap().faults.extend(faults);
    }

    /// Puts a file there that was last changed at that HTTP date.
    pub fn put(&self, path: &str, bytes: Vec<u8>, date: &str) {
        self.shared.0.lock().unwrap().files.insert(path.to_owned(), (bytes, date.to_owned()));
    }

    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.shared.0.lock().unwrap().files.get(path).map(|(bytes, _)| bytes.clone())
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.0.lock().unwrap().requests.clone()
    }

    /// Blocks until a request of that method came.
    pub fn wait_for(&self, method: &str) {
        let state = self.shared.0.lock().unwrap();
        let none = |state: &mut State| !state.requests.iter().any(|request| request.method == method);
        drop(self.shared.1.wait_while(state, none).unwrap());
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        while let Some(request) = read(&mut reader) {
            let mut state = self.shared.0.lock().unwrap();
            state.requests.push(request.clone());
            let fault = state.faults.pop_front();
            drop(state);
            self.shared.1.notify_all();
            match fault {
                None => self.usual(&request, &mut writer),
                Some(Fault::Status(status, body)) => write(&mut writer, status, &[], body.as_bytes()),
                Some(Fault::Lost) => return,
                // The other side ends it.
                Some(Fault::Silent) => drop(read(&mut reader)),
            }
        }
    }

    fn usual(&self, request: &Request, writer: &mut TcpStream) {
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        if request.method == "PUT" {
            self.put(&path, request.body.clone(), "Fri, 01 Jan 2100 00:00:00 GMT");
            return write(writer, 200, &[], b"");
        }
        let found = self.shared.0.lock().unwrap().files.get(&path).cloned();
        match found {
            Some((bytes, date)) => write(writer, 200, &[("Last-Modified", date)], &bytes),
            None => write(writer, 404, &[], b"<Error><Code>NoSuchKey</Code></Error>"),
        }
    }
}
