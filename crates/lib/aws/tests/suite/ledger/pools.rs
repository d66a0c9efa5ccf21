//! The row of a pool: what one run of its scaler leaves for the next, and by which one of two leaves.

use runnerless_aws::ports::{Applied, Ledger};
use runnerless_core::change::{Plan, RowKey};
use runnerless_core::pool::{MemberMemory, Memory, PoolRow, remember};

use super::T0;

const GROUP: &str = "builds";

async fn row(ledger: &impl Ledger) -> Option<PoolRow> {
    let rows = ledger.load(&[RowKey::Pool(GROUP.to_owned())]).await.unwrap();
    rows.pool(GROUP).unwrap()
}

/// What a run of this name writes that saw a thousand members.
fn of_run(row: Option<&PoolRow>, run: &str) -> Plan {
    let mut member = MemberMemory::new(T0);
    (member.idle, member.jobs_total, member.taken_at) = (7, Some(412), Some(T0));
    let members = (0..1000).map(|number| (format!("i-{number:017x}"), member.clone())).collect();
    remember(row, GROUP, run, Memory { members, last_run_at: Some(T0), ..Memory::default() }, T0)
}

pub async fn of_two_runs_that_saw_the_same_one_acts(ledger: &impl Ledger) {
    assert_eq!(row(ledger).await, None);
    for expected in [1, 2] {
        let before = row(ledger).await;
        // No two runs have a name in common.
        let names = [format!("one-{expected}"), format!("other-{expected}")];
        let [one, other] = [0, 1].map(|which| of_run(before.as_ref(), &names[which]));
        let (one, other) = tokio::join!(ledger.apply(&one), ledger.apply(&other));
        let acts = [one.unwrap() == Applied::All, other.unwrap() == Applied::All];
        let stored = row(ledger).await.unwrap();
        assert!(acts == [stored.run == names[0], stored.run == names[1]], "{acts:?} {}", stored.run);
        assert_eq!((stored.rev, stored.memory.members.len()), (expected, 1000));
    }
}

pub async fn a_run_that_read_before_another_wrote_leaves(ledger: &impl Ledger) {
    ledger.apply(&of_run(None, "first")).await.unwrap();
    let read = row(ledger).await;
    assert_eq!(ledger.apply(&of_run(read.as_ref(), "second")).await.unwrap(), Applied::All);
    assert_eq!(ledger.apply(&of_run(read.as_ref(), "late")).await.unwrap(), Applied::Conflict);
    assert_eq!(ledger.apply(&of_run(None, "blind")).await.unwrap(), Applied::Conflict);
    assert_eq!(row(ledger).await.unwrap().run, "second");
}

pub async fn a_run_whose_answer_was_lost_knows_its_own_row<L: Ledger>(ledger: &L, lose: &impl AsyncFn(&L)) {
    ledger.apply(&of_run(None, "first")).await.unwrap();
    let read = row(ledger).await;
    lose(ledger).await;
    // In memory nobody repeats the write for its caller.
    let applied = match ledger.apply(&of_run(read.as_ref(), "second")).await {
        Ok(applied) => applied,
        Err(_) => ledger.apply(&of_run(read.as_ref(), "second")).await.unwrap(),
    };
    assert_eq!((applied, row(ledger).await.unwrap().run.as_str()), (Applied::All, "second"));
    assert_eq!(ledger.apply(&of_run(read.as_ref(), "other")).await.unwrap(), Applied::Conflict);
}
