//! From a thread that makes a file to the request that sends it, with little in between: no copy of the whole is kept.

use std::io::{self, Write};

use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Parts that may wait.
const PARTS: usize = 4;
/// Bytes of a part.
const PART: usize = 64 * 1024;

/// The end that the file is written to.
#[derive(Debug)]
pub(crate) struct PipeWriter {
    buffer: Vec<u8>,
    parts: Sender<io::Result<Vec<u8>>>,
}

/// Both ends.
pub(crate) fn pipe() -> (PipeWriter, Receiver<io::Result<Vec<u8>>>) {
    let (parts, receiver) = channel(PARTS);
    (PipeWriter { buffer: Vec::with_capacity(PART), parts }, receiver)
}

impl PipeWriter {
    /// Tells the other end that there is no more, because of this.
    pub(crate) fn fail(self, error: io::Error) {
        // Nobody listens any more: then nobody is misled either.
        let _ = self.parts.blocking_send(Err(error));
    }

    fn send(&mut self) -> io::Result<()> {
        let part = std::mem::replace(&mut self.buffer, Vec::with_capacity(PART));
        self.parts.blocking_send(Ok(part)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PART - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == PART {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.send() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_arrive_in_order_and_an_error_after_them() {
        let (mut writer, mut parts) = pipe();
        let content: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let sent = content.clone();
        let thread = std::thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.flush().unwrap();
            writer.fail(io::Error::other("gone"));
        });
        let mut got = Vec::new();
        let error = loop {
            match parts.blocking_recv().unwrap() {
                Ok(part) => got.extend(part),
                Err(error) => break error,
            }
        };
        thread.join().unwrap();
        assert_eq!((got, error.to_string()), (content, "gone".to_owned()));
    }

    #[test]
    fn who_writes_for_nobody_is_told() {
        let (mut writer, parts) = pipe();
        drop(parts);
        assert_eq!(writer.write_all(&[0; PART]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
