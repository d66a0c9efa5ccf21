//! The load: what users do with this GitLab, drawn from the seed.

use runnerless_core::lane::TagSet;
use runnerless_core::time::{Millis, Timestamp};

use super::GitLab;
use super::pipeline::{CancelAt, JobSpec, Moment, PipelineSpec, Work};
use super::runner::RunnerKind;
use super::step::Step;

/// A lane as users know it.
#[derive(Clone, Debug)]
pub struct LoadLane {
    /// The lane's runner.
    pub runner: u64,
    /// The projects that use it.
    pub projects: Vec<u64>,
    /// The names of jobs that are routed to it; with ` 2/3` or `: [a]` behind them they still are.
    pub names: Vec<String>,
}

/// How much, when and for whom.
#[derive(Clone, Debug)]
pub struct Load {
    /// How many jobs users create; those that they start again come on top.
    pub jobs: usize,
    /// From when on.
    pub from: Timestamp,
    /// How long.
    pub span: Millis,
    /// The lanes; none of them twice.
    pub lanes: Vec<LoadLane>,
    /// One job in so many has tags that no lane has; 0 for none.
    pub uncovered_one_in: u32,
}

/// The shapes in which jobs come.
#[derive(Clone, Copy)]
enum Shape {
    Single,
    Burst,
    Parallel,
    Chain,
}

impl GitLab {
    /// What happens, in the order of the times.
    ///
    /// # Panics
    /// There is no lane, or a lane without a project or a name.
    pub fn load(&mut self, load: &Load) -> Vec<(Timestamp, Step)> {
        assert!(!load.lanes.is_empty(), "a load without a lane");
        let mut steps = Vec::new();
        let mut left = load.jobs;
        while left > 0 {
            let shape = self.draw_shape();
            let pipeline = self.draw_pipeline(load, shape, left);
            left -= pipeline.jobs.len();
            let at = load.from + Millis(self.rng.i64(0..=load.span.0.max(0)));
            steps.push((at, Step::Pipeline(pipeline)));
        }
        self.draw_foreign(load, &mut steps);
        steps.sort_by_key(|(at, _)| *at);
        steps
    }

    fn draw_shape(&mut self) -> Shape {
        match self.rng.u32(0..10) {
            0..5 => Shape::Single,
            5..7 => Shape::Burst,
            7 => Shape::Parallel,
            _ => Shape::Chain,
        }
    }

    fn draw_pipeline(&mut self, load: &Load, shape: Shape, left: usize) -> PipelineSpec {
        let lane = &load.lanes[self.rng.usize(0..load.lanes.len())];
        let project = lane.projects[self.rng.usize(0..lane.projects.len())];
        let most = match shape {
            Shape::Single => 1,
            Shape::Burst => self.rng.usize(4..=24),
            Shape::Parallel => self.rng.usize(2..=6),
            Shape::Chain => self.rng.usize(2..=4),
        };
        let count = most.min(left);
        let base = self.draw_job(load, lane);
        let jobs = (0..count).map(|n| self.shaped(load, lane, shape, &base, n, count)).collect();
        PipelineSpec { project, git_ref: "main".to_owned(), protected: self.rng.u32(0..3) > 0, jobs }
    }

    fn shaped(
        &mut self,
        load: &Load,
        lane: &LoadLane,
        shape: Shape,
        base: &JobSpec,
        n: usize,
        count: usize,
    ) -> JobSpec {
        match shape {
            Shape::Parallel => {
                let name = format!("{} {}/{count}", base.name, n + 1);
                JobSpec { name, tags: base.tags.clone(), ..self.draw_job(load, lane) }
            }
            Shape::Chain => JobSpec { needs: n.checked_sub(1).into_iter().collect(), ..self.draw_job(load, lane) },
            Shape::Single | Shape::Burst => self.draw_job(load, lane),
        }
    }

    fn draw_job(&mut self, load: &Load, lane: &LoadLane) -> JobSpec {
        let length = match self.rng.u32(0..20) {
            0 => Millis(self.rng.i64(200_000..600_000)),
            1..6 => Millis(self.rng.i64(30_000..200_000)),
            _ => Millis(self.rng.i64(1_000..30_000)),
        };
        let failed = self.rng.u32(0..12) == 0;
        JobSpec {
            name: lane.names[self.rng.usize(0..lane.names.len())].clone(),
            stage: "test".to_owned(),
            tags: self.draw_tags(load, lane),
            needs: Vec::new(),
            work: Work { length, exit_code: u8::from(failed) },
            cancel: self.draw_cancel(),
            retry: (self.rng.u32(0..3) == 0).then(|| Millis(self.rng.i64(0..120_000))),
        }
    }

    /// Mostly the lane's tags; at times fewer, which other lanes may cover too, and rarely ones that nobody has.
    fn draw_tags(&mut self, load: &Load, lane: &LoadLane) -> TagSet {
        let Some(runner) = self.runners.get(&lane.runner) else { return TagSet::default() };
        let all: Vec<String> = runner.spec.tags.iter().map(str::to_owned).collect();
        if load.uncovered_one_in > 0 && self.rng.u32(0..load.uncovered_one_in) == 0 {
            return TagSet::new(["nobody-has-this"]).unwrap_or_default();
        }
        if all.len() > 1 && self.rng.u32(0..4) == 0 {
            return TagSet::new([&all[self.rng.usize(0..all.len())]]).unwrap_or_default();
        }
        TagSet::new(all).unwrap_or_default()
    }

    /// One job in eight is cancelled, at a moment that hurts.
    fn draw_cancel(&mut self) -> Option<CancelAt> {
        let (from, most) = match self.rng.u32(0..40) {
            0 => (Moment::Created, 1_000),
            1 | 2 => (Moment::Pending, 20_000),
            3 => (Moment::Offered, 2_000),
            4 => (Moment::Running, 60_000),
            _ => return None,
        };
        Some(CancelAt { from, after: Millis(self.rng.i64(0..most)) })
    }

    /// Foreign runners ask at random times, and go on for a while after the last pipeline.
    fn draw_foreign(&mut self, load: &Load, steps: &mut Vec<(Timestamp, Step)>) {
        let is_foreign =
            |(id, runner): (&u64, &super::Runner)| (runner.spec.kind == RunnerKind::Foreign).then_some(*id);
        let foreign: Vec<u64> = self.runners.iter().filter_map(is_foreign).collect();
        for runner in foreign {
            let asks = load.jobs.div_ceil(20);
            for _ in 0..asks {
                let at = load.from + Millis(self.rng.i64(0..=load.span.0.max(0)));
                steps.push((at, Step::Foreign(runner)));
            }
        }
    }
}
