//! A charged launch and EC2, in memory; and what happens between EC2's deed and its answer.

#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs of this module")]

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use runnerless_aws::fake::{FakeClock, FakeLedger, FakeParameters};
use runnerless_aws::ports::{Applied, Ledger as _};
use runnerless_aws::{AwsError, runner_token_name};
use runnerless_aws_ec2::{FakeFleet, Fleet, Terminated};
use runnerless_core::change::RowKey;
use runnerless_core::fleet::{FleetOutcome, FleetRequest, Instance, InstanceState, LAUNCH_TAG, Market};
use runnerless_core::frozen::{FrozenFleet, Ground};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::LaunchRow;
use runnerless_core::limits;
use runnerless_core::moves::{Ours, Start, charge, record};
use runnerless_core::official::Official;
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::fake::FakeRunners;
use runnerless_gitlab::protocol::{Deleted, Forgotten, Made, NewRunner, RunnerScope, Runners, Secret, Verified};
use runnerless_instances::{Cleared, Instances};
use runnerless_lambda_kit::metrics;
use runnerless_provisioner::{Office, Provisioned, Provisioner, Shared};

pub const T0: Timestamp = Timestamp(1_789_373_730_000);
const TEMPLATE: &str = "lt-0123456789abcdef0";
const PROFILE: &str = "arn:aws:iam::123456789012:instance-profile/runner";

pub fn after(seconds: i64) -> Timestamp {
    T0 + Millis::secs(seconds)
}

pub const fn key() -> JobKey {
    JobKey { project: 41, job: 1 }
}

type Hook = Box<dyn FnOnce(&World) + Send>;

/// The stack around one provisioner.
pub struct World {
    pub ledger: FakeLedger,
    pub fleet: FakeFleet,
    pub clock: FakeClock,
    pub parameters: FakeParameters,
    pub gitlab: FakeRunners,
    pub shared: Shared,
    pub official: Option<Official>,
    pub launch_id: LaunchId,
    ours: Ours,
    /// Runs once between EC2's deed and its answer.
    hook: Mutex<Option<Hook>>,
    /// Runs once between GitLab's deed and its answer.
    made: Mutex<Option<Hook>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("ledger", &self.ledger).field("fleet", &self.fleet).finish_non_exhaustive()
    }
}

impl Default for World {
    fn default() -> Self {
        let fleet = FakeFleet::default();
        fleet.deploy(TEMPLATE, PROFILE);
        Self {
            ledger: FakeLedger::default(),
            fleet,
            clock: FakeClock::leaping(T0),
            parameters: FakeParameters::default(),
            gitlab: FakeRunners::default(),
            shared: Shared::default(),
            official: None,
            launch_id: LaunchId::new("l-0a1b2c3d4e5f60718293"),
            ours: Ours { stack: "runnerless".into(), profile: PROFILE.into() },
            hook: Mutex::default(),
            made: Mutex::default(),
        }
    }
}

/// What is ready at once: nothing in memory is waited for.
pub fn now_or_never<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("something in memory waits"),
    }
}

impl World {
    /// With a pending job and the launch that was charged to it, for spot and then on demand.
    pub async fn with_launch() -> Self {
        Self::of_lane("//", Some("glrt-of-the-lane")).await
    }

    /// The same, of a lane with this target and token.
    pub async fn of_lane(target: &str, token: Option<&str>) -> Self {
        let world = Self::default();
        world.hook_now("pending");
        let ground = Ground {
            stack: "runnerless".into(),
            launch_template: format!("{TEMPLATE}:1"),
            subnets: vec!["subnet-a".into(), "subnet-b".into()],
            market: Market::Spot,
            instance_types: vec!["m7i.large".into(), "m7a.large".into()],
        };
        let lane = Lane {
            tags: TagSet::new(["docker"]).unwrap(),
            engine: Engine::Ec2,
            target: target.into(),
            run_untagged: false,
        };
        if let Some(token) = token {
            world.parameters.put(&runner_token_name("/r", Engine::Ec2, &lane.id()), token);
        }
        let (job, expires) = (world.job().await, T0 + limits::ec2_deadline(None));
        let frozen = ground.freeze(&lane, &job, &world.launch_id, expires).unwrap();
        let start = Start {
            launch: world.launch_id.clone(),
            nonce_sha256: String::new(),
            system_id: "r_0a1b2c3d4e5f".into(),
            request: frozen.text(),
            isolated: false,
            by_default: false,
            longest: None,
        };
        let plan = charge(&job, &lane, start, "the test", T0).unwrap();
        assert_eq!(world.ledger.apply(&plan).await.unwrap(), Applied::All);
        world
    }

    pub fn provisioner(&self) -> Provisioner<'_, FakeLedger, Self, FakeClock, FakeParameters, Self> {
        let office = Office {
            parameters: &self.parameters,
            parameter_path: "/r",
            runners: self,
            official: self.official.as_ref(),
            shared: &self.shared,
        };
        let ours = Some(&self.ours);
        Provisioner { ledger: &self.ledger, fleet: self, clock: &self.clock, ours, office, service: "test" }
    }

    /// Ends what is left of the launch, as the sweep does.
    pub async fn sweep(&self, now: Timestamp) -> Cleared {
        let (ledger, parameters, clock) = (&self.ledger, &self.parameters, &self.clock);
        let (fleet, runners) = (&self.fleet, &self.gitlab);
        let (service, tells) = ("test", metrics::unaccounted);
        let instances = Instances { ledger, parameters, parameter_path: "/r", fleet, runners, clock, service, tells };
        instances.clear(&self.launch_id, now).await.unwrap()
    }

    pub async fn provision(&self) -> Result<Provisioned, AwsError> {
        self.provisioner().provision(&self.launch_id, None).await
    }

    /// This happens once, after EC2 did what the next request asks for and before its answer comes.
    pub fn on_launch(&self, hook: impl FnOnce(&Self) + Send + 'static) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
    }

    /// This happens once, after GitLab made a runner and before it says so.
    pub fn on_made(&self, hook: impl FnOnce(&Self) + Send + 'static) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
    }

    fn answered(&self, made: Made) -> Made {
        let hook = self.made.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(hook) = hook {
            hook(self);
        }
        made
    }

    /// A hook of the job, stored as ingest stores it.
    pub fn hook_now(&self, status: &str) {
        let facts = JobFacts { name: "build".into(), project_path: "acme/widgets".into(), ..JobFacts::default() };
        let status = JobStatus::parse(status);
        let event = JobEvent { key: key(), status, facts, created_at: Some(T0), runner: None };
        let row = now_or_never(self.ledger.load(&[RowKey::Job(key())])).unwrap().job(key()).unwrap();
        now_or_never(self.ledger.apply(&record(row.as_ref(), &event, T0).plan)).unwrap();
    }

    /// Somebody sends another request under the launch's token, for this launch or for one of his own.
    pub async fn foreign_use_of_the_token(&self, launch: Option<&LaunchId>) -> String {
        let frozen = FrozenFleet::read(&self.launch().await.request.expect("it is not sent yet")).unwrap();
        let mut other = frozen.next().clone();
        other.pools.truncate(1);
        let launch = launch.map_or("l-theirs", LaunchId::as_str);
        other.tags.insert(LAUNCH_TAG.to_owned(), launch.to_owned());
        match self.fleet.launch(&other).await.unwrap() {
            FleetOutcome::Answer(answer) => answer.instances[0].clone(),
            FleetOutcome::Mismatch => panic!("the token is taken"),
        }
    }

    /// Somebody launches an instance of his own with all the tags of this launch's.
    pub async fn look_alike(&self) -> String {
        let frozen = FrozenFleet::read(&self.launch().await.request.expect("it is not sent yet")).unwrap();
        let id = "i-0123456789abcdef0".to_owned();
        self.fleet.add(Instance {
            id: id.clone(),
            state: InstanceState::Running,
            tags: frozen.next().tags.clone(),
            launched_at: T0,
            instance_type: "m7i.large".into(),
            subnet: "subnet-theirs".into(),
            spot: false,
            profile: Some(format!("{PROFILE}-of-another")),
        });
        id
    }

    pub async fn job(&self) -> JobRow {
        self.ledger.load(&[RowKey::Job(key())]).await.unwrap().job(key()).unwrap().expect("the job has a row")
    }

    pub async fn launch(&self) -> LaunchRow {
        let id = &self.launch_id;
        let rows = self.ledger.load(&[RowKey::Launch(id.clone())]).await.unwrap();
        rows.launch(id).unwrap().expect("the launch has a row")
    }
}

impl Fleet for World {
    async fn launch(&self, request: &FleetRequest) -> Result<FleetOutcome, AwsError> {
        let answer = self.fleet.launch(request).await;
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(hook) = hook {
            hook(self);
        }
        answer
    }
    async fn of_launch(&self, launch: &LaunchId) -> Result<Vec<Instance>, AwsError> {
        self.fleet.of_launch(launch).await
    }
    async fn describe(&self, instance: &str) -> Result<Option<Instance>, AwsError> {
        self.fleet.describe(instance).await
    }
    async fn list(&self, stack: &str) -> Result<Vec<Instance>, AwsError> {
        self.fleet.list(stack).await
    }
    async fn terminate(&self, instance: &str) -> Result<Terminated, AwsError> {
        self.fleet.terminate(instance).await
    }
    async fn hide_metadata(&self, instance: &str) -> Result<(), AwsError> {
        self.fleet.hide_metadata(instance).await
    }
}

impl Runners for World {
    async fn verify(&self, token: &Secret, system_id: &str) -> Verified {
        self.gitlab.verify(token, system_id).await
    }
    async fn forget(&self, token: &Secret, system_id: &str) -> Forgotten {
        self.gitlab.forget(token, system_id).await
    }
    async fn create(&self, api_token: &Secret, scope: RunnerScope, new: &NewRunner<'_>) -> Made {
        let made = self.gitlab.create(api_token, scope, new).await;
        self.answered(made)
    }
    async fn register(&self, registration_token: &Secret, new: &NewRunner<'_>) -> Made {
        let made = self.gitlab.register(registration_token, new).await;
        self.answered(made)
    }
    async fn unregister(&self, token: &Secret) -> Deleted {
        self.gitlab.unregister(token).await
    }
}
