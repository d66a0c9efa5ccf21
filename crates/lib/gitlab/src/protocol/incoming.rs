//! A file that is on its way here.

use reqwest::Response;

/// The rest of an answer, part by part: nothing of it is kept.
#[derive(Debug)]
pub struct Incoming(Response);

/// A file did not come whole: the connection broke, or the file is shorter than it was said to be.
#[derive(Debug, thiserror::Error)]
#[error("the file broke off")]
pub struct BrokenOff(#[source] reqwest::Error);

impl Incoming {
    pub(super) fn new(response: Response) -> Self {
        Self(response)
    }

    /// The next part; `None` at the end.
    ///
    /// # Errors
    /// See [`BrokenOff`].
    pub async fn part(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, BrokenOff> {
        // The URL may open what it names, and is for no log.
        self.0.chunk().await.map_err(|error| BrokenOff(error.without_url()))
    }
}
