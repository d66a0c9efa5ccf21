//! `secrets put`: what each secret looks like, and where it goes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnerless_aws::runner_token_name;
use runnerless_aws_admin::ports::SecretStore;
use runnerless_core::lane::{Engine, TagSet, lane_id};
use runnerless_gitlab::protocol::RunnerScope;
use url::Url;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::screen::Screen;

/// A secret of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Name {
    /// What GitLab sends as X-Gitlab-Token.
    SecretToken,
    /// The one before it: both are taken while you move over.
    SecretTokenPrevious,
    /// What GitLab signs webhooks with.
    SigningToken,
    /// The one before it.
    SigningTokenPrevious,
    /// A token for GitLab's API; optional.
    ApiToken,
    /// Whose jobs the runners take that are made with the API token; no secret, but it lies with them.
    RunnerScope,
    /// GitLab's address; no secret, but it lies with them.
    Url,
    /// A lane's runner token, with --engine and --lane-tags.
    RunnerToken,
}

impl Name {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SecretToken => "secret-token",
            Self::SecretTokenPrevious => "secret-token-previous",
            Self::SigningToken => "signing-token",
            Self::SigningTokenPrevious => "signing-token-previous",
            Self::ApiToken => "api-token",
            Self::RunnerScope => "runner-scope",
            Self::Url => "url",
            Self::RunnerToken => "runner-token",
        }
    }
}

/// Whose token a runner token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfLane {
    /// The lane's engine.
    pub engine: Engine,
    /// The lane's tags.
    pub tags: TagSet,
}

/// The parameter's name.
///
/// # Errors
/// A runner token without a lane, or another secret with one.
pub fn parameter(path: &str, name: Name, lane: Option<&OfLane>) -> Result<String, CliError> {
    let path = path.trim_end_matches('/');
    let below = match (name, lane) {
        (Name::RunnerToken, Some(lane)) => return Ok(runner_token(path, lane)),
        (Name::RunnerToken, None) => {
            return Err(CliError::Usage(
                "runner-token needs --engine and --lane-tags: each lane has a token of its own (write --lane-tags '' \
                 for the untagged lane)"
                    .into(),
            ));
        }
        (_, Some(_)) => {
            return Err(CliError::Usage(format!(
                "--engine and --lane-tags go with runner-token, not {}",
                name.as_str()
            )));
        }
        (Name::SecretToken, None) => "ingress/SecretToken",
        (Name::SecretTokenPrevious, None) => "ingress/SecretTokenPrevious",
        (Name::SigningToken, None) => "ingress/SigningToken",
        (Name::SigningTokenPrevious, None) => "ingress/SigningTokenPrevious",
        (Name::ApiToken, None) => "control/ApiToken",
        (Name::RunnerScope, None) => "control/RunnerScope",
        (Name::Url, None) => "control/Url",
    };
    Ok(format!("{path}/{below}"))
}

/// Where a lane's runner token is.
#[must_use]
pub fn runner_token(path: &str, lane: &OfLane) -> String {
    runner_token_name(path, lane.engine, &lane_id(lane.engine, &lane.tags))
}

/// The value as it is stored: without the line end of editors and `echo`, and looking like what it should be.
///
/// # Errors
/// It cannot be that secret. The error never shows it.
pub fn checked(name: Name, text: &str) -> Result<Zeroizing<String>, CliError> {
    let bad = |problem: &str, cure: &str| CliError::Secret {
        name: name.as_str().into(),
        problem: problem.into(),
        cure: cure.into(),
    };
    let value = text.trim_matches(['\r', '\n', ' ', '\t']);
    if value.is_empty() {
        return Err(bad("is empty", "give the value in a file (--file) or on standard input"));
    }
    if !value.chars().all(|c| c.is_ascii_graphic()) {
        return Err(bad(
            "holds white space or a character that no token has",
            "give the value alone, on one line and without quotes",
        ));
    }
    let problem = match name {
        Name::SecretToken | Name::SecretTokenPrevious => secret_token(value),
        Name::SigningToken | Name::SigningTokenPrevious => signing_token(value),
        Name::ApiToken => api_token(value),
        Name::RunnerScope => scope(value),
        Name::Url => address(value),
        Name::RunnerToken => kind(value).map(|_| ()),
    };
    problem.map_err(|(problem, cure)| bad(problem, cure))?;
    Ok(Zeroizing::new(value.to_owned()))
}

type Bad = (&'static str, &'static str);

/// What tokens of GitLab begin with, and what they are: a token in the wrong place is told by it.
const KINDS: [(&str, &str); 9] = [
    ("whsec_", "is a webhook's signing token"),
    ("glpat-", "is a personal, project or group access token"),
    ("glrt-", "is a runner's authentication token"),
    ("GR1348941", "is a runner registration token"),
    ("glcbt-", "is a job's token"),
    ("glptt-", "is a pipeline trigger token"),
    ("gldt-", "is a deploy token"),
    ("glft-", "is a feed token"),
    ("glsoat-", "is a service account's token"),
];

fn begins(value: &str) -> Option<(&'static str, &'static str)> {
    KINDS.into_iter().find(|(prefix, _)| value.starts_with(prefix))
}

fn secret_token(value: &str) -> Result<(), Bad> {
    match begins(value) {
        Some((_, what)) => Err((what, "give the webhook's secret token, a random text of your own")),
        None => Ok(()),
    }
}

/// GitLab makes `whsec_` and the padded standard base64 of 32 random bytes, and takes no other.
fn signing_token(value: &str) -> Result<(), Bad> {
    const CURE: &str = "give what GitLab shows once for the webhook: whsec_ and 44 characters of base64";
    let key = value.strip_prefix("whsec_").ok_or(("does not begin with whsec_", CURE))?;
    let bytes = STANDARD.decode(key).map(Zeroizing::new).map_err(|_| ("holds no padded base64 after whsec_", CURE))?;
    if bytes.len() == 32 { Ok(()) } else { Err(("does not hold 32 bytes", CURE)) }
}

fn api_token(value: &str) -> Result<(), Bad> {
    match begins(value) {
        Some(("glpat-" | "glsoat-", _)) | None => Ok(()),
        Some((_, what)) => Err((what, "give an access token with the scopes read_api and create_runner, or api")),
    }
}

fn scope(value: &str) -> Result<(), Bad> {
    const CURE: &str = "write instance, group/<group id> or project/<project id>";
    RunnerScope::parse(value).map(|_| ()).map_err(|_| ("names nobody whose jobs a runner could take", CURE))
}

fn address(value: &str) -> Result<(), Bad> {
    const CURE: &str = "write it as the stack's parameter GitLabUrl, such as https://gitlab.example.com";
    let url = Url::parse(value).map_err(|_| ("is no URL", CURE))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(("is neither an http nor an https URL", CURE));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(("holds more than a host and a path", CURE));
    }
    Ok(())
}

/// A runner token, by what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It asks GitLab for jobs.
    Authentication,
    /// It registers runners, or cannot be told from one that does.
    Registration,
}

/// Which kind of runner token it is.
fn kind(value: &str) -> Result<Kind, Bad> {
    const CURE: &str = "give the runner's authentication token (glrt-..)";
    match begins(value) {
        Some(("glrt-", _)) => Ok(Kind::Authentication),
        Some(("GR1348941", _)) => Ok(Kind::Registration),
        Some((_, what)) => Err((what, CURE)),
        None if value.starts_with("glrtr-") => Ok(Kind::Authentication),
        None if value.len() >= 20 => Ok(Kind::Registration),
        None => Err(("is too short for a runner token", CURE)),
    }
}

/// Writes a secret. With `keep` the present value becomes the previous one first, so that hooks of both are taken.
///
/// # Errors
/// The value cannot be that secret, or AWS refused.
pub async fn put(
    store: &impl SecretStore,
    path: &str,
    name: Name,
    lane: Option<&OfLane>,
    text: &str,
    keep: bool,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let parameter = parameter(path, name, lane)?;
    let value = checked(name, text)?;
    if keep {
        let previous = match name {
            Name::SecretToken => Name::SecretTokenPrevious,
            Name::SigningToken => Name::SigningTokenPrevious,
            _ => {
                return Err(CliError::Usage("--keep-previous goes with secret-token and signing-token".into()));
            }
        };
        // The same value again is no rotation: keeping it would push the real previous one out.
        match store.get(&parameter).await? {
            Some(present) if present.trim() != value.as_str() => {
                let name = self::parameter(path, previous, None)?;
                store.put(&name, &present).await?;
                screen.say(format!("kept       the present value as {name}"))?;
            }
            _ => screen.say("kept       nothing: there is no other present value")?,
        }
    }
    store.put(&parameter, &value).await?;
    screen.say(format!("written    {parameter}"))?;
    if name == Name::RunnerToken && kind(&value) == Ok(Kind::Registration) {
        screen.tell(match lane.map(|lane| lane.engine) {
            Some(Engine::Ec2) => {
                "warning: it looks like a registration token, which GitLab means to give up: each launch of the lane \
                 registers a runner of its own with it, and deletes it"
            }
            _ => {
                "warning: it looks like a registration token, which cannot ask for jobs: create a runner in GitLab and \
                 write its token (glrt-..) instead"
            }
        })?;
    }
    screen.tell("functions use it within five minutes")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use runnerless_aws_admin::fake::FakeSecrets;

    use super::*;

    const SIGNING: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn each_secret_is_checked_and_never_shown() {
        for (name, good) in [
            (Name::SecretToken, "correct-horse\n"),
            (Name::SigningToken, SIGNING),
            (Name::ApiToken, "glpat-abcdefghijklmnopqrst"),
            (Name::ApiToken, "an-old-token-of-20-ch"),
            (Name::RunnerScope, "group/12\n"),
            (Name::Url, "https://gitlab.example.com/gitlab\r\n"),
            (Name::RunnerToken, "glrt-t1_abcdefghijklmnop"),
            (Name::RunnerToken, "GR1348941abcdefghijklmnop"),
            (Name::RunnerToken, "glrtr-abcdefghijkl"),
            (Name::RunnerToken, "abcdefghijklmnopqrst"),
        ] {
            assert_eq!(checked(name, good).unwrap().as_str(), good.trim(), "{name:?}");
        }
        for (name, wrong) in [
            (Name::SecretToken, " \n"),
            (Name::SecretToken, "two words"),
            (Name::SecretToken, SIGNING),
            (Name::SigningToken, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
            (Name::SigningToken, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
            (Name::SigningTokenPrevious, "whsec_AAECAwQF"),
            (Name::ApiToken, "glrt-abcdefghijklmnop"),
            (Name::RunnerScope, "acme/widget"),
            (Name::Url, "gitlab.internal/path"),
            (Name::Url, "ssh://gitlab.example.com"),
            (Name::Url, "https://user:password@gitlab.example.com"),
            (Name::Url, "https://gitlab.example.com?x=1"),
            (Name::RunnerToken, "glpat-abcdefghijklmnopqrst"),
            (Name::RunnerToken, "xyz12"),
        ] {
            let error = checked(name, wrong).unwrap_err();
            let text = error.lines().join(" ");
            assert!(text.starts_with(name.as_str()), "{text}");
            assert!(wrong.trim().is_empty() || !text.contains(wrong), "{text}");
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn parameters_lie_on_the_branch_of_their_readers() {
        let lane = OfLane { engine: Engine::Lambda, tags: TagSet::default() };
        let id = lane_id(Engine::Lambda, &TagSet::default());
        for (name, lane, expected) in [
            (Name::SecretToken, None, "/r/ingress/SecretToken".to_owned()),
            (Name::SigningTokenPrevious, None, "/r/ingress/SigningTokenPrevious".to_owned()),
            (Name::ApiToken, None, "/r/control/ApiToken".to_owned()),
            (Name::RunnerScope, None, "/r/control/RunnerScope".to_owned()),
            (Name::RunnerToken, Some(&lane), format!("/r/runner/LAMBDA/{id}/RegistrationToken")),
        ] {
            assert_eq!(parameter("/r/", name, lane).unwrap(), expected);
        }
        assert_eq!(parameter("/r", Name::RunnerToken, None).unwrap_err().exit_code(), 2);
        assert_eq!(parameter("/r", Name::Url, Some(&lane)).unwrap_err().exit_code(), 2);
    }

    async fn put_into(
        store: &FakeSecrets,
        name: Name,
        lane: Option<&OfLane>,
        text: &str,
        keep: bool,
    ) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        put(store, "/r", name, lane, text, keep, &mut Screen::new(&mut out, &mut err)).await.unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[tokio::test]
    async fn a_rotation_keeps_the_value_before_and_is_no_rotation_twice() {
        let store = FakeSecrets::default();
        let previous = || store.value("/r/ingress/SecretTokenPrevious");
        put_into(&store, Name::SecretToken, None, "first", true).await;
        assert_eq!(previous(), None);
        for _ in 0..2 {
            let (out, _) = put_into(&store, Name::SecretToken, None, "second\n", true).await;
            assert!(!out.contains("first") && !out.contains("second"), "{out}");
            assert_eq!(
                (store.value("/r/ingress/SecretToken"), previous()),
                (Some("second".into()), Some("first".into()))
            );
        }
    }

    #[tokio::test]
    async fn a_token_that_only_registers_is_written_with_a_warning() {
        let store = FakeSecrets::default();
        let lane = OfLane { engine: Engine::Lambda, tags: TagSet::new(["a"]).unwrap() };
        let (_, err) = put_into(&store, Name::RunnerToken, Some(&lane), "GR1348941abcdefghijklmnop", false).await;
        assert!(err.contains("warning") && err.contains("cannot ask for jobs"), "{err}");
        let of_instances = OfLane { engine: Engine::Ec2, ..lane.clone() };
        let (_, err) =
            put_into(&store, Name::RunnerToken, Some(&of_instances), "GR1348941abcdefghijklmnop", false).await;
        assert!(err.contains("warning") && err.contains("registers a runner of its own"), "{err}");
        let (_, err) = put_into(&store, Name::RunnerToken, Some(&lane), "glrt-abcdefghijklmnopqrst", false).await;
        assert!(!err.contains("warning"), "{err}");
        assert_eq!(store.names().len(), 2);
        assert!(store.names().contains(&runner_token("/r", &lane)));
    }
}
