//! GitLab's jobs API, if somebody stored a token for it.

use std::time::Duration;

use runnerless_aws::ports::Parameters;
use runnerless_core::chain::chain;
use runnerless_core::time::Millis;
use runnerless_gitlab::protocol::{Client, ClientConfig, Info, Secret, Way};
use runnerless_gitlab::rest::RestClient;
use runnerless_lambda_kit::{Clock, within};

/// What reading the token is worth of a run's fifty seconds.
const TOKEN_LIMIT: Millis = Millis::secs(5);
/// What one request to GitLab is worth: it lists a hundred jobs in well under a second.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Where GitLab is, and where the token for it is. The token is read in each run, which is one call a minute: so a new one
/// counts from the next run on.
#[derive(Debug)]
pub struct Jobs<S> {
    /// Where the secrets are.
    pub store: S,
    /// The path of the branch `control`.
    pub control: String,
    /// GitLab's URL.
    pub url: String,
    /// The way there.
    pub way: Way,
}

impl<S: Parameters> Jobs<S> {
    /// A client for one run.
    ///
    /// # Errors
    /// Why there is none, in words for the operator.
    pub async fn client(&self, clock: &impl Clock) -> Result<RestClient, String> {
        let values = match within(clock, TOKEN_LIMIT, self.store.below(&self.control)).await {
            Some(Ok(values)) => values,
            Some(Err(error)) => return Err(format!("the API token cannot be read: {}", chain(&error))),
            None => return Err(format!("the API token was not read within {TOKEN_LIMIT}")),
        };
        let token = values.get("ApiToken").map(|value| value.trim()).filter(|value| !value.is_empty());
        let token = token.ok_or_else(|| format!("there is no API token in {}/ApiToken", self.control))?;
        let info = Info::new("runnerless", env!("CARGO_PKG_VERSION"), "");
        let usual = ClientConfig::new(&self.url, info).through(&self.way);
        let limits = ClientConfig { connect_timeout: REQUEST_LIMIT, request_timeout: REQUEST_LIMIT, ..usual };
        let client = Client::new(limits).map_err(|error| chain(&error))?;
        RestClient::new(client, &Secret::new(token)).map_err(|error| chain(&error))
    }
}
