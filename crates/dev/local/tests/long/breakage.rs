//! The quick cases of `make breakage`: AWS services and executors out of order on the deployed stack, each with the outcome
//! that is stated beforehand in `src/breakage/table`.

use runnerless_local::breakage::case::Pace;
use runnerless_local::breakage::{self, Verdict, table};
use runnerless_local::stack::{Options, Stack};

#[tokio::test]
async fn what_breaks_is_answered_stored_and_healed_as_stated() {
    let options = Options { simulator: true, ..Options::for_tests("breakage").unwrap() };
    let stack = Stack::start(&options).await.unwrap();
    let cases: Vec<_> = table::all().into_iter().filter(|case| case.pace == Pace::Quick).collect();
    let mut verdicts: Vec<Verdict> = Vec::new();
    let ran = breakage::run(&stack, &cases, |verdict| {
        println!("{}", verdict.said());
        verdicts.push(verdict.clone());
    });
    ran.await.unwrap();
    stack.stop().await;
    assert_eq!(verdicts.len(), cases.len());
    let broken: Vec<&str> =
        verdicts.iter().filter(|verdict| !verdict.holds()).map(|verdict| verdict.id.as_str()).collect();
    assert!(broken.is_empty(), "not as stated: {broken:?}");
}
