//! Every interleaving of two jobs and three launches over the real decisions.
//!
//! The world is small: two jobs of one lane at GitLab, launches that start, ask, bind, accept, run and end, hooks that
//! arrive at any time, in any order, doubled or never, a foreign runner, a cancel, and a budget of misfortunes
//! (crashes, lost answers). Rows are only ever written by the decisions of `runnerless_core::moves`. In every reachable
//! state, no running job of ours is killed, none runs twice, none is reported lost while another runner has it, and
//! from every state with launches left all can still end well. Then each rule is switched off in turn, and the search
//! must find the disaster: a check that cannot fail shows nothing.

mod world;

use world::{Broken, Mode, Setup, explore};

const THREE: Setup = Setup { launches: 3, misfortunes: 1 };
const TWO: Setup = Setup { launches: 2, misfortunes: 2 };

#[test]
fn with_two_phase_commit_every_interleaving_holds() {
    let result = explore(Mode::TwoPhase, THREE, None);
    assert_eq!(result.disaster, None);
    assert_eq!(result.stuck, None);
    assert!(result.states > 20_000, "only {} states: the world became too small to show anything", result.states);
}

#[test]
fn without_two_phase_commit_every_interleaving_holds() {
    let result = explore(Mode::OnePhase, THREE, None);
    assert_eq!(result.disaster, None);
    assert_eq!(result.stuck, None);
    assert!(result.states > 2_000, "only {} states", result.states);
}

#[test]
fn two_misfortunes_on_top_of_each_other_hold() {
    for mode in [Mode::TwoPhase, Mode::OnePhase] {
        let result = explore(mode, TWO, None);
        assert_eq!(result.disaster, None, "{mode:?}");
        assert_eq!(result.stuck, None, "{mode:?}");
    }
}

#[test]
fn each_rule_switched_off_breaks_the_world() {
    for (rule, mode) in [
        (Broken::CloseAnyTime, Mode::OnePhase),
        (Broken::AskWithoutBegin, Mode::OnePhase),
        (Broken::NoUnbind, Mode::TwoPhase),
        (Broken::NoLimits, Mode::TwoPhase),
        (Broken::ReportUnconditionally, Mode::TwoPhase),
        (Broken::ReportLate, Mode::TwoPhase),
        (Broken::StopTheChargedLaunch, Mode::OnePhase),
        (Broken::KeepTheLostCharge, Mode::TwoPhase),
    ] {
        let found = [THREE, TWO].into_iter().map(|setup| explore(mode, setup, Some(rule)));
        assert!(
            found.into_iter().any(|r| r.disaster.is_some() || r.stuck.is_some()),
            "{rule:?} off, and nothing broke"
        );
    }
}
