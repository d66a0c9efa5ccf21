//! A pool of runner managers: the quick cases of `make pool` on a deployed stack.

use crate::suite::{cases, in_checkout};

#[test]
fn a_pool_is_sized_and_no_job_of_it_is_ended_on_a_deployed_stack() {
    let Some(lines) = cases("pool", &["--quick"], &in_checkout("pool")) else { return };
    assert_eq!(lines.len(), 5, "{lines:?}");
}
