//! The sweep's window: no move leaves a live launch that the sweep would not see.

use crate::change::{Change, Plan, Write, decode, put};
use crate::fleet::{FleetAnswer, FleetFault};
use crate::job::JobRow;
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::moves::testing::{
    T0, charged_pair, ec2_pair, job_of, key, lane, launch_of, pending_job, polling, secs, sentinel_row, start,
};
use crate::moves::{
    Answered, BindRows, End, Evidence, Got, Loss, Provision, Withdrawal, answered, assign, begin, bind, charge, close,
    conclude, lost, provision, renew, started, unpaid,
};
use crate::sealed::SealedToken;
use crate::time::Timestamp;

/// The live launches that a plan writes.
fn live(plan: &Plan) -> Vec<LaunchRow> {
    let launch = |change: &Change| match &change.write {
        Write::Put(item) if change.pk.starts_with("launch#") => Some(decode::<LaunchRow>(item).unwrap()),
        _ => None,
    };
    let rows = plan.changes.iter().filter_map(launch);
    rows.filter(|row| row.state != LaunchState::Closed).collect()
}

/// Each move that can leave a launch alive, made at this time.
fn moves(now: Timestamp) -> Vec<(&'static str, Plan)> {
    let (job, charged) = charged_pair(1, "l-1");
    let asks = polling(&charged);
    let rows = BindRows { launch: &asks, got: Some(&job), gots_charge: None, charged: None };
    let got = Got { job_token: Some(SealedToken::new("sealed")), ..Got::from(key(1)) };
    let bound = bind(rows, got, now).unwrap();
    let runs = launch_of(&bound);
    let job_of_it = job_of(&bound);
    let Loss::Lost { plan: loss, .. } = lost(&runs, Some(&job_of_it), Evidence::HostGone, now) else { panic!("lost") };
    let owes = launch_of(&loss);
    let waiting = JobRow { lane: Some(charged.lane.clone()), ..pending_job(2) };
    let (waits, of_instance) = ec2_pair();
    let Provision::Send(request) = provision(&of_instance, None, T0) else { panic!("nothing to send") };
    let told = |answer: FleetAnswer, owner| match answered(&of_instance, owner, &request, &answer, now) {
        Answered::Has { plan, .. } | Answered::NextMarket(plan) => plan,
        Answered::Unneeded { withdrawal: Some(Withdrawal { plan, .. }), .. } => plan,
        other => panic!("{other:?}"),
    };
    let instance = || FleetAnswer { instances: vec!["i-1".into()], faults: Vec::new() };
    let full = FleetFault::new("InsufficientInstanceCapacity", "");
    vec![
        ("recorded", told(instance(), Some(&waits))),
        ("withdrawn", told(instance(), None)),
        ("next market", told(FleetAnswer { instances: Vec::new(), faults: vec![full] }, Some(&waits))),
        ("charge", charge(&waiting, &lane(), start("l-2"), "", now).unwrap()),
        ("sentinel", Plan::default().with_some(put(None, sentinel_row("l-3")))),
        ("started", started(&charged, now).unwrap()),
        ("begin", begin(&charged, "hash", "claim", now).unwrap()),
        ("bind", bound),
        ("renew", renew(&runs, now).unwrap()),
        ("close", close(&charged, Evidence::RowOnly, "", now).unwrap()),
        ("lost", loss),
        ("unpaid", unpaid(&owes, now)),
        ("untold", conclude(&runs, Some(&job_of_it), &End::Untold(String::new()), now).unwrap()),
        ("assign", assign(&waiting, &charged, None, now).unwrap().unwrap()),
    ]
}

#[test]
fn every_live_launch_is_due_within_the_sweeps_window() {
    for now in [T0, secs(60)] {
        for (name, plan) in moves(now) {
            let rows = live(&plan);
            assert!(!rows.is_empty(), "{name} shows nothing");
            for row in rows {
                let at = row.due.next_check_at.unwrap_or_else(|| panic!("{name} hides a live launch"));
                assert!(at <= now + limits::EC2_BOOT, "{name}: due only {} ms later", (at - now).0);
            }
        }
    }
    assert!(limits::LAUNCH_WINDOW > limits::EC2_BOOT, "clocks differ");
}
