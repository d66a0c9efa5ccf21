//! A small storm: what `make storm` does, with few jobs, with sweeps every few seconds, and with no hook lost, because what
//! finds those takes minutes.

use std::time::Duration;

use runnerless_local::stack::{Options, Stack};
use runnerless_local::storm::{self, Storm};

#[tokio::test]
async fn every_job_of_a_small_storm_ends_as_expected_and_nothing_is_left() {
    let options = Options { simulator: true, ..Options::for_tests("storm").unwrap() };
    let stack = Stack::start(&options).await.unwrap();
    let storm = Storm {
        stack: options,
        jobs: 12,
        seed: 5,
        api_token: false,
        lost: false,
        every: Duration::from_secs(5),
        limit: storm::LIMIT,
        out: None,
    };
    let seen = storm::run(&stack, &storm).await.unwrap();
    stack.stop().await;
    println!("{}", seen.line);
    let amiss = seen.jobs.iter().flat_map(|job| job.why.iter().map(move |why| format!("{}: {why}", job.name)));
    let amiss: Vec<String> = amiss.chain(seen.failures.iter().cloned()).collect();
    assert!(amiss.is_empty(), "{amiss:#?}");
    assert_eq!(seen.jobs.len(), 12);
}
