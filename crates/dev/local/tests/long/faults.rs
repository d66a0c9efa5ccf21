//! The quick cases of `make faults`: instances of the deployed stack as real processes, each case with the outcome that is
//! stated beforehand in `cases/faults/ec2.jsonl`, and nothing left.

use std::path::Path;

use runnerless_local::faults::{self, Case, Verdict, read};
use runnerless_local::instances::confine::Confinement;
use runnerless_local::stack::{Options, Stack};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

#[tokio::test]
async fn faults_of_an_instances_life_end_as_stated_and_leave_nothing() {
    let options = Options { simulator: true, ..Options::for_tests("faults").unwrap() };
    let folder = tempfile::tempdir().unwrap();
    let runner = options.program.with_file_name("runnerless-runner");
    if let Err(error) = Confinement::new(&runner, PATH, &folder.path().join("probe")).await {
        eprintln!("skipped: {error}");
        return;
    }
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/faults/ec2.jsonl");
    let cases: Vec<Case> = read(&table).unwrap().into_iter().filter(|case| case.quick).collect();
    let stack = Stack::start(&options).await.unwrap();
    let mut verdicts: Vec<Verdict> = Vec::new();
    let played = faults::run(&stack, &cases, |verdict| {
        println!("{}", verdict.said());
        verdicts.push(verdict.clone());
    });
    played.await.unwrap();
    stack.stop().await;
    assert!(cases.len() > 5 && verdicts.len() == cases.len());
    let broken: Vec<&str> =
        verdicts.iter().filter(|verdict| !verdict.holds()).map(|verdict| verdict.id.as_str()).collect();
    assert!(broken.is_empty(), "not as stated: {broken:?}");
}
