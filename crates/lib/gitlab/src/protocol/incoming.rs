//! A file that is on its way here.

use reqwest::Response;

use super::error::TransportError;

/// The rest of an answer, part by part: nothing of it is kept.
#[derive(Debug)]
pub struct Incoming {
    operation: &'static str,
    response: Response,
}

impl Incoming {
    pub(super) fn new(operation: &'static str, response: Response) -> Self {
        Self { operation, response }
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or the file is shorter than it was said to be.
    pub async fn part(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, TransportError> {
        self.response.chunk().await.map_err(|error| no_answer(self.operation, error))
    }
}

/// A failure without the URL, which may open what it names.
pub(super) fn no_answer(operation: &'static str, error: reqwest::Error) -> TransportError {
    TransportError::NoAnswer { operation, source: error.without_url() }
}
