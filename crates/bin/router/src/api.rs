//! GitLab's REST API, if somebody stored a token for it.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use runnerless_aws::ports::Parameters;
use runnerless_aws::{AwsError, Branch, ParameterCache};
use runnerless_core::chain::chain;
use runnerless_core::id::JobKey;
use runnerless_core::time::Millis;
use runnerless_gitlab::protocol::{Client, ClientConfig, Info, Secret, Way};
use runnerless_gitlab::rest::{ApiJob, Hooks, JobsApi, PendingPage, RestClient, RestError};
use runnerless_lambda_kit::{Clock, within};

/// What the API tells is worth this much of a function's twenty seconds, and so is its token: without it the job is routed
/// by its name.
const API_LIMIT: Millis = Millis::secs(3);

/// GitLab's REST API over a store of secrets.
#[derive(Debug)]
pub struct GitLabApi<S, C> {
    /// Where the secrets are.
    pub store: S,
    /// Time.
    pub clock: C,
    /// The branch `control`.
    pub control: ParameterCache,
    /// GitLab's URL.
    pub url: String,
    /// The way there.
    pub way: Way,
}

impl<S: Parameters, C: Clock> GitLabApi<S, C> {
    /// A client for one call of the function; `None` without a token. A token that cannot be read or used costs the job its
    /// tags, not its launch.
    pub async fn holder(&self) -> Option<TokenHolder<'_, S, C>> {
        let branch = self.within_limit(self.control.get(&self.store, &self.clock)).await?;
        let token = branch.get("ApiToken")?.to_owned();
        let client = self.client(&token)?;
        Some(TokenHolder { api: self, held: RwLock::new(Held { token: Secret::new(token), client }) })
    }

    /// The token as it stands now, read again at a limited rate.
    async fn refreshed(&self) -> Option<String> {
        let branch = self.within_limit(self.control.refreshed(&self.store, &self.clock)).await?;
        branch.get("ApiToken").map(str::to_owned)
    }

    async fn within_limit(&self, reading: impl Future<Output = Result<Branch, AwsError>>) -> Option<Branch> {
        let error = match within(&self.clock, API_LIMIT, reading).await {
            Some(Ok(branch)) => return Some(branch),
            Some(Err(error)) => format!("{}: {}", error.name(), chain(&error)),
            None => format!("no answer within {} ms", API_LIMIT.0),
        };
        tracing::warn!(target: "runnerless", error, "the API token cannot be read");
        None
    }

    fn client(&self, token: &str) -> Option<RestClient> {
        let info = Info::new("runnerless", env!("CARGO_PKG_VERSION"), "");
        let limit = Duration::from_millis(API_LIMIT.0.unsigned_abs());
        let usual = ClientConfig::new(&self.url, info).through(&self.way);
        let limits = ClientConfig { connect_timeout: limit, request_timeout: limit, ..usual };
        let client = Client::new(limits).map_err(|error| error.to_string());
        let token = Secret::new(token);
        match client.and_then(|client| RestClient::new(client, &token).map_err(|error| error.to_string())) {
            Ok(client) => Some(client),
            Err(error) => {
                tracing::warn!(target: "runnerless", error, "the jobs API cannot be used");
                None
            }
        }
    }
}

/// A client with the token that is held. When GitLab refuses it, the token is read again, once for each one that was
/// refused and at a limited rate: a token that was replaced meanwhile costs no job its tags.
#[derive(Debug)]
pub struct TokenHolder<'a, S, C> {
    api: &'a GitLabApi<S, C>,
    held: RwLock<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    token: Secret,
    client: RestClient,
}

impl<S: Parameters, C: Clock> TokenHolder<'_, S, C> {
    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another client than the refused one; `None` when there is no other token.
    async fn other_than(&self, refused: &Held) -> Option<RestClient> {
        let held = self.held();
        // Somebody else of this call has read it meanwhile.
        if held.token.expose() != refused.token.expose() {
            return Some(held.client);
        }
        let token = self.api.refreshed().await.filter(|token| token != refused.token.expose())?;
        let client = self.api.client(&token)?;
        let mut slot = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *slot = Held { token: Secret::new(token), client: client.clone() };
        Some(client)
    }
}

/// One call, and the same again with another token when GitLab refused this one.
macro_rules! by_token {
    ($holder:expr, $client:ident => $call:expr) => {{
        let held = $holder.held();
        let $client = &held.client;
        match $call.await {
            Err(error) if error.is_of_token() => match $holder.other_than(&held).await {
                Some(other) => {
                    let $client = &other;
                    $call.await
                }
                None => Err(error),
            },
            answer => answer,
        }
    }};
}

impl<S: Parameters, C: Clock> JobsApi for TokenHolder<'_, S, C> {
    async fn job(&self, key: JobKey) -> Result<Option<ApiJob>, RestError> {
        by_token!(self, client => client.job(key))
    }

    async fn pending(&self, project: u64, from: Option<&str>) -> Result<Option<PendingPage>, RestError> {
        by_token!(self, client => client.pending(project, from))
    }

    async fn hooks(&self, project: u64) -> Result<Option<Hooks>, RestError> {
        by_token!(self, client => client.hooks(project))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use runnerless_aws::fake::{FakeClock, FakeParameters};
    use runnerless_core::time::Timestamp;

    use super::*;

    const T0: Timestamp = Timestamp(1_000_000);

    /// Answers `calls` requests: one with the token `new` by an empty list, all others by 401. Gives back the tokens.
    fn gitlab(calls: usize) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = thread::spawn(move || {
            let answer = |_: usize| {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let token = head.iter().find_map(|line| line.strip_prefix("private-token: ")).unwrap_or("").to_owned();
                let (status, body) = if token == "new" { ("200 OK", "[]") } else { ("401 Unauthorized", "{}") };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).unwrap();
                token
            };
            (0..calls).map(answer).collect()
        });
        (url, serving)
    }

    fn api(url: String) -> GitLabApi<FakeParameters, FakeClock> {
        GitLabApi {
            store: FakeParameters::default(),
            clock: FakeClock::leaping(T0),
            control: ParameterCache::new("/r/control"),
            url,
            way: Way::default(),
        }
    }

    #[tokio::test]
    async fn a_token_that_was_replaced_is_read_again_and_used_from_then_on() {
        let (url, serving) = gitlab(3);
        let api = api(url);
        api.store.put("/r/control/ApiToken", "old");
        let holder = api.holder().await.unwrap();
        api.store.put("/r/control/ApiToken", "new");
        api.clock.set(T0 + Millis::minutes(1));
        assert!(holder.pending(41, None).await.unwrap().is_some());
        assert!(holder.pending(41, None).await.unwrap().is_some());
        assert_eq!(serving.join().unwrap(), ["old", "new", "new"]);
    }

    #[tokio::test]
    async fn a_token_that_stays_refused_is_read_at_a_limited_rate_and_not_sent_twice() {
        let (url, serving) = gitlab(4);
        let api = api(url);
        api.store.put("/r/control/ApiToken", "bad");
        let holder = api.holder().await.unwrap();
        api.clock.set(T0 + Millis::minutes(1));
        for _ in 0..4 {
            assert_eq!(holder.hooks(41).await.unwrap_err().name(), "GitLab.TokenRefused");
        }
        assert_eq!(serving.join().unwrap().len(), 4);
        assert_eq!(api.store.reads(), 2, "once at first, and once because it was refused");
    }

    #[tokio::test]
    async fn without_a_token_or_with_one_that_cannot_be_read_there_is_no_client() {
        let api = api("http://127.0.0.1:1".into());
        assert!(api.holder().await.is_none());
        api.store.fail(true);
        api.clock.set(T0 + Millis::minutes(10));
        assert!(api.holder().await.is_none());
    }
}
