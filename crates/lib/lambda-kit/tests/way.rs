//! A function behind a proxy, with a GitLab that has a certificate of its own authority: real TLS and a real tunnel on
//! loopback addresses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../../bin/runner/tests/support/tunnel.rs"]
mod tunnel;

use gitlab_sim::{Options, Simulator, Stop};
use runnerless_aws::ports::Ledger as _;
use runnerless_aws::{Credentials, DynamoLedger};
use runnerless_core::change::RowKey;
use runnerless_core::id::LaunchId;
use runnerless_gitlab::protocol::{Client, ClientConfig, Info, Runners, Secret, Verified};
use runnerless_lambda_kit::Env;
use tempfile::TempDir;
use tunnel::Tunnel;
use zeroize::Zeroizing;

/// A server with TLS by an authority that nobody else trusts.
struct Server {
    url: String,
    ca: String,
    folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let options = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            state,
            tls: true,
            admin_token: None,
            root: String::new(),
        };
        let simulator = Simulator::start(options).await.unwrap();
        let (url, ca) = (simulator.url().to_owned(), simulator.ca_file().unwrap().to_str().unwrap().to_owned());
        tokio::spawn(simulator.serve(std::future::pending::<Stop>()));
        Self { url, ca, folder }
    }

    fn authority(&self) -> &str {
        self.url.strip_prefix("https://").unwrap()
    }

    /// What GitLab says by this way, and whether DynamoDB could be spoken to, which is the same server here: it answers,
    /// and not as DynamoDB would.
    async fn reached(&self, proxy: &str, ca: &str) -> (Verified, String) {
        let env = Env::of([("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", &self.url), ("P", proxy), ("C", ca)]);
        let (place, way) = env.way("P", "C").unwrap();
        let client = ClientConfig::new(&self.url, Info::new("runnerless", "1", "")).through(&way);
        let said = Runners::verify(&Client::new(client).unwrap(), &Secret::new("glrt-of-nobody"), "r_test").await;
        let credentials = Credentials { key_id: "k".to_owned(), secret: Zeroizing::new("s".to_owned()), session: None };
        let ledger = DynamoLedger::new(&place, &credentials, "ledger".to_owned());
        let row = ledger.load(&[RowKey::Launch(LaunchId::new("l"))]).await;
        (said, row.unwrap_err().name().to_owned())
    }
}

#[tokio::test]
async fn gitlab_and_aws_are_reached_through_the_proxy_with_the_own_authority() {
    let (server, tunnel) = (Server::start().await, Tunnel::start());
    let (said, row) = server.reached(&tunnel.url, &server.ca).await;
    assert!(matches!(said, Verified::Refused(_)), "GitLab did not answer: {said:?}");
    assert_eq!(row, "Ledger.Refused", "what answered is no DynamoDB");
    assert_eq!(tunnel.targets(), [server.authority(), server.authority()], "one connection of each");
}

#[tokio::test]
async fn hosts_beside_the_proxy_are_reached_directly() {
    let (server, tunnel) = (Server::start().await, Tunnel::start());
    let (said, row) = server.reached(&format!("{} .example.com,127.0.0.1", tunnel.url), &server.ca).await;
    assert!(matches!(said, Verified::Refused(_)) && row == "Ledger.Refused", "{said:?} {row}");
    assert!(tunnel.targets().is_empty());
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_not_believed() {
    let (server, other) = (Server::start().await, Server::start().await);
    assert!(other.folder.path().exists());
    let (said, row) = server.reached("", &other.ca).await;
    assert!(matches!(said, Verified::Unknown(_)), "{said:?}");
    assert_eq!(row, "Ledger.Unavailable");
}
