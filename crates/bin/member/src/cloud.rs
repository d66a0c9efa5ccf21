//! What a member asks AWS: its target, and, while it leaves, that its hook is held open and answered; before all that its
//! runner's token.

use runnerless_aws::{AwsError, Credentials, Place};
use runnerless_aws_ec2::leave::{Heard, Hooked, Leave};
use runnerless_core::chain::chain;
use runnerless_core::pool::leaving::Target;
use runnerless_core::way::{Proxy, Way};
use runnerless_metadata::{MetadataError, Service, Session};
use zeroize::Zeroizing;

use crate::Surroundings;
use crate::arguments::Arguments;

/// What the metadata service calls the target of an instance that is to end.
const TERMINATED: &str = "Terminated";

/// This program cannot ask anybody.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoWay {
    #[error("no HTTP client can be made")]
    Http(#[source] runnerless_metadata::HttpError),
    #[error("HTTPS_PROXY cannot be used: {0}")]
    Proxy(String),
}

/// A word was not heard.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unheard {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error("there are no keys to call AWS with")]
    NoKeys(#[source] MetadataError),
}

/// The ways to the metadata service and to AWS.
#[derive(Debug)]
pub(crate) struct Ways {
    pub(crate) metadata: Service,
    way: Way,
    endpoint: Option<String>,
}

impl Ways {
    pub(crate) fn new(surroundings: &Surroundings) -> Result<Self, NoWay> {
        let present = |text: &String| (!text.is_empty()).then(|| text.clone());
        let proxy = present(&surroundings.https_proxy).map(|url| Proxy { url, bypass: surroundings.no_proxy.clone() });
        let way = Way { proxy, ca_pem: None };
        // What is wrong with it is told at the start, and not by the first call.
        Place::new("", None).through(&way).map_err(NoWay::Proxy)?;
        let metadata = Service::new(&surroundings.metadata_endpoint).map_err(NoWay::Http)?;
        Ok(Self { metadata, way, endpoint: present(&surroundings.aws_endpoint) })
    }

    /// Where AWS is.
    pub(crate) async fn place(&self, session: &Session<'_>) -> Result<Place, MetadataError> {
        let place = Place::new(session.region().await?, self.endpoint.clone());
        // It was tried when this value was made.
        Ok(place.clone().through(&self.way).unwrap_or(place))
    }
}

/// The keys of the instance's role.
pub(crate) async fn credentials(session: &Session<'_>) -> Result<Credentials, MetadataError> {
    let keys = session.role_keys().await?;
    Ok(Credentials {
        key_id: keys.key_id.expose().to_owned(),
        secret: Zeroizing::new(keys.secret.expose().to_owned()),
        session: Some(Zeroizing::new(keys.session.expose().to_owned())),
    })
}

/// Who this instance is. It is asked for anew each time, because keys expire, and kept for when nobody answers.
#[derive(Clone, Debug)]
struct Own {
    instance: String,
    place: Place,
    credentials: Credentials,
}

/// AWS, seen from one member.
#[derive(Debug)]
pub(crate) struct Cloud {
    ways: Ways,
    group: String,
    hook: String,
    own: Option<Own>,
}

impl Cloud {
    pub(crate) fn new(arguments: &Arguments, surroundings: &Surroundings) -> Result<Self, NoWay> {
        let ways = Ways::new(surroundings)?;
        Ok(Self { ways, group: arguments.group.clone(), hook: arguments.hook.clone(), own: None })
    }

    /// Where the instance is going.
    pub(crate) async fn target(&self) -> Target {
        let asked = async { self.ways.metadata.session().await?.target_lifecycle_state().await };
        match asked.await {
            Ok(Some(state)) if state == TERMINATED => Target::Leaves,
            Ok(_) => Target::Stays,
            Err(error) => Target::Unknown(chain(&error)),
        }
    }

    /// The hook is still needed.
    pub(crate) async fn beat(&mut self) -> Result<Heard, Unheard> {
        Ok(self.leave().await?.beat().await?)
    }

    /// The instance may end.
    pub(crate) async fn complete(&mut self) -> Result<Heard, Unheard> {
        Ok(self.leave().await?.complete().await?)
    }

    async fn leave(&mut self) -> Result<Leave, Unheard> {
        match self.ask().await {
            Ok(own) => self.own = Some(own),
            Err(error) if self.own.is_none() => return Err(Unheard::NoKeys(error)),
            // The last keys are good for hours.
            Err(_) => {}
        }
        let Some(Own { instance, place, credentials }) = &self.own else { unreachable!("it was just set") };
        let hooked = Hooked { group: self.group.clone(), hook: self.hook.clone(), instance: instance.clone() };
        Ok(Leave::new(place, credentials, hooked))
    }

    async fn ask(&self) -> Result<Own, MetadataError> {
        let session = self.ways.metadata.session().await?;
        let credentials = credentials(&session).await?;
        match &self.own {
            Some(own) => Ok(Own { credentials, ..own.clone() }),
            None => {
                let (instance, place) = (session.instance_id().await?, self.ways.place(&session).await?);
                Ok(Own { instance, place, credentials })
            }
        }
    }
}
