//! The runner's token, for the file that the runner manager reads.

use std::io::{self, Write as _};

use runnerless_aws::ParameterStore;

use crate::Surroundings;
use crate::cloud::{NoWay, Unheard, Ways, credentials};

/// There is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoToken {
    #[error("the runtime could not be started")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Way(#[from] NoWay),
    #[error("parameter {0}: cannot be read")]
    Unheard(String, #[source] Unheard),
    #[error("parameter {0}: is not there; put the runner's token into it (docs/pool.md)")]
    Missing(String),
    #[error("the token cannot be printed")]
    Print(#[source] io::Error),
}

/// Prints it.
pub(crate) fn token(parameter: &str, surroundings: &Surroundings) -> Result<(), NoToken> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NoToken::Runtime)?;
    let ways = Ways::new(surroundings)?;
    let value = runtime.block_on(async {
        let session = ways.metadata.session().await.map_err(Unheard::NoKeys)?;
        let place = ways.place(&session).await.map_err(Unheard::NoKeys)?;
        let credentials = credentials(&session).await.map_err(Unheard::NoKeys)?;
        Ok(ParameterStore::new(&place, &credentials).one(parameter).await?)
    });
    let value = value.map_err(|error| NoToken::Unheard(parameter.to_owned(), error))?;
    let value = value.filter(|value| !value.trim().is_empty()).ok_or_else(|| NoToken::Missing(parameter.to_owned()))?;
    let mut output = io::stdout().lock();
    output.write_all(value.trim().as_bytes()).and_then(|()| output.write_all(b"\n")).map_err(NoToken::Print)
}
