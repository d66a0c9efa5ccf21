//! What can happen next. Everything that writes rows goes through a real decision.

use runnerless_core::change::Plan;
use runnerless_core::job::JobRow;
use runnerless_core::moves::{
    BeginRefused, BindRefused, BindRows, End, Evidence, GiveBackRows, Loss, Settlement, begin, bind, charge, close,
    conclude, give_back, lost, renew, settle, started,
};
use runnerless_core::time::{Millis, Timestamp};

use super::rows::{self, BOUND, CLOSED, CLOSING, LATE, NOW};
use super::{Broken, By, Gl, GlStatus, LaunchBits, Mode, Runner, Step, World};

pub(crate) struct Rules {
    pub(crate) mode: Mode,
    pub(crate) launches: usize,
    pub(crate) broken: Option<Broken>,
}

impl Rules {
    fn off(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    fn two_phase(&self) -> bool {
        self.mode == Mode::TwoPhase
    }
}

pub(crate) fn steps(rules: &Rules, world: &World) -> Vec<Step> {
    let mut out = Vec::new();
    for k in 0..2 {
        gitlab(rules, world, k, &mut out);
        ledger(rules, world, k, &mut out);
    }
    for i in 0..3 {
        if let Some(bits) = world.launches[usize::from(i)] {
            runner(rules, world, i, bits, &mut out);
            closing(rules, world, i, bits, &mut out);
            loss(rules, world, i, bits, &mut out);
        }
    }
    out
}

fn name(k: u8) -> char {
    char::from(b'A' + k)
}

fn small(id: u64) -> u8 {
    u8::try_from(id).expect("the world's jobs have small numbers")
}

fn with_gl(world: &World, k: u8, gl: Gl) -> World {
    let mut next = *world;
    next.gl[usize::from(k)] = gl;
    next
}

fn with_runner(world: &World, i: u8, runner: Runner) -> World {
    let mut next = *world;
    if let Some(bits) = &mut next.launches[usize::from(i)] {
        bits.runner = runner;
    }
    next
}

fn unlucky(world: World) -> World {
    World { luck: world.luck - 1, ..world }
}

/// What GitLab and others do with a job.
fn gitlab(rules: &Rules, world: &World, k: u8, out: &mut Vec<Step>) {
    let gl = world.gl[usize::from(k)];
    let ended = Gl { status: GlStatus::Ended, by: By::Nobody, ..gl };
    match (gl.status, gl.by) {
        (GlStatus::Pending, _) if world.luck > 0 => {
            let taken = Gl { status: GlStatus::Running, by: By::Foreign, ran: true };
            out.push(Step::To(format!("foreign takes {}", name(k)), unlucky(with_gl(world, k, taken))));
            out.push(Step::To(format!("{} is cancelled", name(k)), unlucky(with_gl(world, k, ended))));
        }
        (GlStatus::Offered, By::Launch(i)) => offer_ends(rules, world, k, i, out),
        (GlStatus::Running, By::Foreign) => {
            out.push(Step::To(format!("foreign ends {}", name(k)), with_gl(world, k, ended)));
        }
        (GlStatus::Running, By::Launch(i)) if !holds(world, i, k) => {
            out.push(Step::To(format!("GitLab fails silent {}", name(k)), with_gl(world, k, ended)));
        }
        _ => {}
    }
}

/// Whether launch `i` is alive and knows that it has job `k`.
fn holds(world: &World, i: u8, k: u8) -> bool {
    let runner = world.launches[usize::from(i)].map(|bits| bits.runner);
    runner.is_some_and(|runner| runner.alive && (runner.got == Some(k) || runner.has == Some(k)))
}

/// GitLab takes an offer back after two minutes. A runner that lives lets go of it before: its limits are shorter.
fn offer_ends(rules: &Rules, world: &World, k: u8, i: u8, out: &mut Vec<Step>) {
    if holds(world, i, k) && !rules.off(Broken::NoLimits) {
        return;
    }
    let mut next =
        with_gl(world, k, Gl { status: GlStatus::Pending, by: By::Nobody, ran: world.gl[usize::from(k)].ran });
    if let Some(bits) = &mut next.launches[usize::from(i)] {
        bits.runner.late = bits.bound == Some(k);
    }
    out.push(Step::To(format!("offer of {} runs out", name(k)), next));
}

/// Hooks at any time, and what follows from rows.
fn ledger(rules: &Rules, world: &World, k: u8, out: &mut Vec<Step>) {
    let gl = world.gl[usize::from(k)];
    let seen = [true, gl.ran, gl.status == GlStatus::Ended];
    for (status, label) in [(0, "pending"), (1, "running"), (2, "ended")] {
        if seen[usize::from(status)] {
            push_changed(world, rows::hook(world, k, status), || format!("hook {label} of {}", name(k)), out);
        }
    }
    let Some(job) = rows::job(world, k) else { return };
    if let Some(i) = (0..3).find(|&i| world.launches[i].is_none()).filter(|_| used(world) < rules.launches) {
        let i = u8::try_from(i).expect("small");
        if let Ok(plan) = charge(&job, &rows::lane(), rows::start(i), "due", LATE) {
            out.push(Step::To(format!("charge {} with {i}", name(k)), rows::apply(world, &plan)));
        }
    }
    end_event(rules, world, k, &job, out);
}

fn used(world: &World) -> usize {
    world.launches.iter().flatten().count()
}

fn push_changed(world: &World, next: World, label: impl Fn() -> String, out: &mut Vec<Step>) {
    if next != *world {
        out.push(Step::To(label(), next));
    }
}

fn end_event(rules: &Rules, world: &World, k: u8, job: &JobRow, out: &mut Vec<Step>) {
    let bits = world.jobs[usize::from(k)].expect("the row exists");
    let named = if rules.off(Broken::StopTheChargedLaunch) && bits.state == rows::ENDED {
        (0..3).find(|&i| world.launches[usize::from(i)].is_some_and(|l| l.charged_to == Some(k)))
    } else {
        bits.launch
    };
    let Some(i) = named else { return };
    let Some(target) = world.launches[usize::from(i)] else { return };
    let mut launch = rows::launch(world, i);
    launch.instance_id = Some("i".into());
    let mut job = job.clone();
    if rules.off(Broken::StopTheChargedLaunch) {
        job.launch = Some(launch.launch.clone());
        launch.bound_job = Some(rows::key(k));
    }
    if target.state == CLOSED {
        return;
    }
    if let Settlement::Stop { .. } = settle(&job, Some(&launch), NOW) {
        if let Some(disaster) = killed(world, i) {
            out.push(Step::Disaster(format!("the end of {} {disaster}", name(k))));
            return;
        }
        let plan = conclude(&launch, Some(&job), &End::JobDone("ended".into()), NOW).expect("not closed");
        let dead = Runner { alive: false, got: None, ..target.runner };
        out.push(Step::To(format!("settle {}", name(k)), with_runner(&rows::apply(world, &plan), i, dead)));
    }
}

/// Whether stopping launch `i` now kills a running job.
fn killed(world: &World, i: u8) -> Option<String> {
    let alive = world.launches[usize::from(i)].is_some_and(|bits| bits.runner.alive);
    let runs =
        |k: &u8| world.gl[usize::from(*k)].status == GlStatus::Running && world.gl[usize::from(*k)].by == By::Launch(i);
    let running = (0..2).find(runs).filter(|&k| alive && holds(world, i, k))?;
    Some(format!("killed running {} on {i}", name(running)))
}

/// What a launch's process does.
fn runner(rules: &Rules, world: &World, i: u8, bits: LaunchBits, out: &mut Vec<Step>) {
    let r = bits.runner;
    if !r.started {
        let next = started(&rows::launch(world, i), NOW).map_or(*world, |plan| rows::apply(world, &plan));
        out.push(Step::To(format!("start {i}"), with_runner(&next, i, Runner { started: true, alive: true, ..r })));
    }
    if !r.alive {
        return;
    }
    if world.luck > 0 {
        out.push(Step::To(
            format!("{i} crashes"),
            unlucky(with_runner(world, i, Runner { alive: false, got: None, ..r })),
        ));
    }
    if !r.began {
        begins(rules, world, i, r, out);
    } else if r.got.is_none() && r.has.is_none() {
        if r.over { leaves(world, i, out) } else { asks(rules, world, i, r, out) }
    }
    if let Some(k) = r.got {
        binds(rules, world, i, k, out);
    }
    if let Some(k) = r.has {
        if r.acc { runs(world, i, k, bits, out) } else { accepts(rules, world, i, k, out) }
    }
}

fn begins(rules: &Rules, world: &World, i: u8, r: Runner, out: &mut Vec<Step>) {
    let gone = with_runner(world, i, Runner { alive: false, ..r });
    let began = Runner { began: true, ..r };
    match begin(&rows::launch(world, i), "n", "c", NOW) {
        Ok(plan) => out.push(Step::To(format!("begin {i}"), with_runner(&rows::apply(world, &plan), i, began))),
        Err(BeginRefused::Gone(_)) => out.push(Step::To(format!("begin {i} refused"), gone)),
        Err(other) => out.push(Step::Disaster(format!("begin {i}: {other}"))),
    }
    if rules.off(Broken::AskWithoutBegin) {
        out.push(Step::To(format!("{i} asks without begin"), with_runner(world, i, began)));
    }
}

fn asks(rules: &Rules, world: &World, i: u8, r: Runner, out: &mut Vec<Step>) {
    for k in 0..2 {
        let gl = world.gl[usize::from(k)];
        if gl.status != GlStatus::Pending {
            continue;
        }
        let status = if rules.two_phase() { GlStatus::Offered } else { GlStatus::Running };
        let given = with_gl(world, k, Gl { status, by: By::Launch(i), ran: gl.ran || !rules.two_phase() });
        out.push(Step::To(format!("{i} gets {}", name(k)), with_runner(&given, i, Runner { got: Some(k), ..r })));
        if world.luck > 0 {
            out.push(Step::To(format!("201 of {} to {i} is lost", name(k)), unlucky(given)));
        }
    }
    out.push(Step::To(format!("wait of {i} is over"), with_runner(world, i, Runner { over: true, ..r })));
}

fn leaves(world: &World, i: u8, out: &mut Vec<Step>) {
    let launch = rows::launch(world, i);
    let job = launch.charged_to.and_then(|key| rows::job(world, small(key.job)));
    let plan = conclude(&launch, job.as_ref(), &End::Fruitless("no job came".into()), NOW).unwrap_or_default();
    let next = rows::apply(world, &plan);
    let r = world.launches[usize::from(i)].expect("exists").runner;
    out.push(Step::To(format!("{i} leaves"), with_runner(&next, i, Runner { alive: false, ..r })));
}

fn binds(rules: &Rules, world: &World, i: u8, k: u8, out: &mut Vec<Step>) {
    let r = world.launches[usize::from(i)].expect("exists").runner;
    let launch = rows::launch(world, i);
    let got = rows::job(world, k);
    let spare = world.jobs[usize::from(k)].and_then(|bits| bits.charge).map(|c| rows::launch(world, c));
    let other = launch.charged_to.filter(|a| *a != rows::key(k)).and_then(|a| rows::job(world, small(a.job)));
    let rows_ = BindRows { launch: &launch, got: got.as_ref(), gots_charge: spare.as_ref(), charged: other.as_ref() };
    match bind(rows_, rows::key(k), NOW) {
        Ok(mut plan) => {
            if rules.off(Broken::KeepTheLostCharge) {
                let lost = format!("job#1#{}", 1 - k);
                plan.changes.retain(|change| change.pk != lost);
            }
            let has = Runner { got: None, has: Some(k), ..r };
            out.push(Step::To(format!("{i} binds {}", name(k)), with_runner(&rows::apply(world, &plan), i, has)));
        }
        // What GitLab ended meanwhile cannot be kept, whoever runs it.
        Err(BindRefused::JobEnded) => {
            out.push(Step::To(format!("{i} may not bind ended {}", name(k)), gives_back(rules, world, i, k)))
        }
        Err(_) if !rules.two_phase() && world.gl[usize::from(k)].by == By::Launch(i) => {
            out.push(Step::Disaster(format!("bind refused after {} ran on {i}", name(k))));
        }
        Err(_) => out.push(Step::To(format!("{i} may not bind {}", name(k)), gives_back(rules, world, i, k))),
    }
    if rules.two_phase() {
        out.push(Step::To(format!("bind limit of {i}"), gives_back(rules, world, i, k)));
    }
}

/// The runner lets go of job `k` and ends. GitLab refuses its report while the job is only offered.
fn gives_back(rules: &Rules, world: &World, i: u8, k: u8) -> World {
    let launch = rows::launch(world, i);
    let job = rows::job(world, k).filter(|_| !rules.off(Broken::NoUnbind));
    let r = world.launches[usize::from(i)].expect("exists").runner;
    let other = launch.charged_to.filter(|a| *a != rows::key(k)).and_then(|a| rows::job(world, small(a.job)));
    let rows_ = GiveBackRows { launch: &launch, got: job.as_ref(), charged: other.as_ref() };
    let next = rows::apply(world, &give_back(rows_, "refused", NOW));
    let next = with_runner(&next, i, Runner { alive: false, got: None, has: None, ..r });
    let gl = world.gl[usize::from(k)];
    if gl.status == GlStatus::Running && gl.by == By::Launch(i) {
        return with_gl(&next, k, Gl { status: GlStatus::Ended, by: By::Nobody, ..gl });
    }
    next
}

fn accepts(rules: &Rules, world: &World, i: u8, k: u8, out: &mut Vec<Step>) {
    let gl = world.gl[usize::from(k)];
    let r = world.launches[usize::from(i)].expect("exists").runner;
    let ours = gl.by == By::Launch(i) && matches!(gl.status, GlStatus::Offered | GlStatus::Running);
    if ours {
        let twice = |l: &LaunchBits| l.runner.alive && l.runner.acc && l.runner.has == Some(k);
        if world.launches.iter().flatten().any(twice) {
            out.push(Step::Disaster(format!("{} accepted twice", name(k))));
        }
        let running = with_gl(world, k, Gl { status: GlStatus::Running, by: By::Launch(i), ran: true });
        out.push(Step::To(format!("{i} accepts {}", name(k)), with_runner(&running, i, Runner { acc: true, ..r })));
    }
    if !ours || rules.two_phase() {
        out.push(Step::To(format!("acceptance of {} by {i} refused or late", name(k)), gives_back(rules, world, i, k)));
    }
}

fn runs(world: &World, i: u8, k: u8, bits: LaunchBits, out: &mut Vec<Step>) {
    let gl = world.gl[usize::from(k)];
    if !bits.accepted
        && let Ok(plan) = renew(&rows::launch(world, i), NOW)
    {
        push_changed(world, rows::apply(world, &plan), || format!("{i} renews"), out);
    }
    if gl.status == GlStatus::Running && gl.by == By::Launch(i) {
        out.push(Step::To(
            format!("{i} ends {}", name(k)),
            with_gl(world, k, Gl { status: GlStatus::Ended, by: By::Nobody, ..gl }),
        ));
    }
    if gl.status == GlStatus::Ended {
        let job = rows::job(world, k);
        let plan =
            conclude(&rows::launch(world, i), job.as_ref(), &End::JobDone("done".into()), NOW).unwrap_or_default();
        let next = with_runner(&rows::apply(world, &plan), i, Runner { alive: false, ..bits.runner });
        out.push(Step::To(format!("{i} concludes"), next));
    }
}

/// Closing an unbound launch, then stopping its compute.
fn closing(rules: &Rules, world: &World, i: u8, bits: LaunchBits, out: &mut Vec<Step>) {
    let r = bits.runner;
    // The lease covers the last ask, its answer and the bind: it can be over only when none of them is under way.
    let lease_over = !r.alive || (r.over && r.got.is_none()) || rules.off(Broken::CloseAnyTime);
    let now = if lease_over { LATE } else { NOW };
    if let Ok(plan) = close(&rows::launch(world, i), Evidence::RowOnly, "not needed", now) {
        push_changed(world, rows::apply(world, &plan), || format!("close {i}"), out);
    }
    if bits.state == CLOSING {
        stop(world, i, r, out);
    }
}

fn stop(world: &World, i: u8, r: Runner, out: &mut Vec<Step>) {
    if let Some(disaster) = killed(world, i) {
        out.push(Step::Disaster(format!("the stop of {i} {disaster}")));
        return;
    }
    let launch = rows::launch(world, i);
    let job = launch.charged_to.and_then(|key| rows::job(world, small(key.job)));
    let plan: Plan = conclude(&launch, job.as_ref(), &End::Fruitless("stopped".into()), NOW).expect("not closed");
    let dead = Runner { started: true, alive: false, got: None, ..r };
    out.push(Step::To(format!("stop {i}"), with_runner(&rows::apply(world, &plan), i, dead)));
}

/// A bound launch that went silent is reported lost, soon or late.
fn loss(rules: &Rules, world: &World, i: u8, bits: LaunchBits, out: &mut Vec<Step>) {
    let Some(k) = bits.bound.filter(|_| bits.state == BOUND && !bits.runner.alive) else { return };
    let soon: &[Timestamp] = if bits.runner.late { &[] } else { &[NOW] };
    for &now in soon.iter().chain(&[LATE]) {
        let mut launch = rows::launch(world, i);
        let mut job = rows::job(world, k);
        if rules.off(Broken::ReportUnconditionally)
            && let Some(job) = &mut job
        {
            job.launch = Some(launch.launch.clone());
        }
        if rules.off(Broken::ReportLate) {
            launch.times.bound_at = Some(now - Millis(1));
        }
        let Loss::Lost { report, plan } = lost(&launch, job.as_ref(), Evidence::HostGone, now) else { continue };
        let mut next = rows::apply(world, &plan);
        let gl = world.gl[usize::from(k)];
        if report.is_some() && gl.status == GlStatus::Running {
            if gl.by != By::Launch(i) {
                out.push(Step::Disaster(format!("{} is reported lost by {i}, but {:?} runs it", name(k), gl.by)));
                continue;
            }
            next = with_gl(&next, k, Gl { status: GlStatus::Ended, by: By::Nobody, ..gl });
        }
        out.push(Step::To(format!("lost {i}"), next));
    }
}
