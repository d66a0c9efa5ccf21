//! The authorizer's floor: secrets once, compare, answer.

use lambda_runtime::Error;
use runnerless_bench::floor::{Aws, SecretStore, serve};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    is_authorized: bool,
}

fn main() -> Result<(), Error> {
    serve(SecretStore::new(&Aws::of_environment()), |secrets, event| async move {
        Ok(Answer { is_authorized: secrets.get().await?.filter(&event) })
    })
}
