//! Artifacts: files of other jobs that are brought before the script, and files of this one that are kept after it.

mod download;
mod upload;

use runnerless_gitlab::protocol::Secret;

use crate::files::Field;
use crate::verdict::Verdict;

/// How the stage of the official runner ends when its program failed.
const FAILED: Verdict = Verdict::Exit(1);

/// The facts that end each line about a request.
fn facts(id: u64, token: &Secret, status: Option<u16>, request_id: Option<&str>) -> Vec<Field<'static>> {
    let mut fields = vec![("id", id.to_string()), ("token", token.short().to_owned())];
    fields.extend(status.map(|status| ("status", status.to_string())));
    fields.extend(request_id.map(|id| ("correlation_id", id.to_owned())));
    fields
}
