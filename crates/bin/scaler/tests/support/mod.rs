//! A pool in memory whose members are real HTTP servers, each at a loopback address of its own and all on one port.

#![allow(unreachable_pub, reason = "a module of several tests")]
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use runnerless_aws::fake::FakeLedger;
use runnerless_aws_ec2::{FakePool, Machine};
use runnerless_core::pool::{Group, Hook, Member, Phase, REBALANCE, Settings};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::metrics::Exporters;
use runnerless_gitlab::rest::fake::FakeJobs;
use runnerless_lambda_kit::{Clock, SystemClock};
use runnerless_scaler::{Error, Report, Scaler, Waiting};

pub const GROUP: &str = "builds";
pub const T0: Timestamp = Timestamp(1_800_000_000_000);
/// How long a member may take to answer; those that answer take a thousandth of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a member's metrics endpoint does.
#[derive(Clone)]
pub enum Says {
    /// Tells of so many jobs, of so many that it runs at once, and of so many that it took.
    Jobs(u32, u32, u64),
    /// Says this, whatever was asked, and hangs up.
    Raw(Vec<u8>),
    /// Takes the connection and says nothing.
    Nothing,
    /// Says one byte after the other, for ever.
    Dribble,
    /// First does this, then says the other.
    First(Arc<dyn Fn() + Send + Sync>, Box<Says>),
}

/// A runner manager's table, as far as it is read.
pub fn table(jobs: u32, concurrent: u32, total: u64) -> String {
    format!(
        "# HELP gitlab_runner_jobs The current number of running builds.\n# TYPE gitlab_runner_jobs gauge\n\
         gitlab_runner_jobs{{executor_stage=\"idle\",runner=\"aBcDeFgHi\",stage=\"idle\",state=\"idle\"}} 0\n\
         gitlab_runner_jobs{{executor_stage=\"docker_run\",runner=\"aBcDeFgHi\",stage=\"step_script\",state=\"running\"}} {jobs}\n\
         gitlab_runner_jobs_total{{runner=\"aBcDeFgHi\"}} {total}\n\
         gitlab_runner_concurrent {concurrent}\ngitlab_runner_limit{{runner=\"aBcDeFgHi\"}} 0\n\
         gitlab_runner_process_state_info{{state=\"running\"}} 1\n"
    )
}

/// A whole answer.
pub fn answer(text: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}", text.len());
    format!("{head}\r\nconnection: close\r\n\r\n{text}").into_bytes()
}

fn serve(mut stream: TcpStream, says: &Says) {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        line.clear();
    }
    // Who asks may have left: then nobody hears the rest.
    match says {
        Says::Jobs(jobs, concurrent, total) => {
            let _ = stream.write_all(&answer(&table(*jobs, *concurrent, *total)));
        }
        Says::Raw(bytes) => {
            let _ = stream.write_all(bytes);
        }
        Says::Nothing => {
            let _ = reader.read_line(&mut line);
        }
        Says::Dribble => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(b"#").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        }
        Says::First(act, then) => {
            act();
            serve(stream, then);
        }
    }
}

/// Time as a test says; who waits, waits as long as it takes.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    async fn pause(&self, length: Millis) {
        SystemClock.pause(length).await;
    }
}

/// A pool, its members and all that a run speaks to.
pub struct World {
    pub ledger: FakeLedger,
    pub pool: Arc<FakePool>,
    pub jobs: FakeJobs,
    pub clock: TestClock,
    pub settings: Settings,
    pub waiting: Waiting,
    /// Why there is no jobs API, if there is none.
    pub no_jobs: Option<&'static str>,
    /// The second number of its members' addresses.
    network: u8,
    port: u16,
    says: Arc<Mutex<BTreeMap<IpAddr, Says>>>,
    members: usize,
    runs: u32,
}

impl World {
    /// A group with these members in service, launched an hour ago.
    pub fn new(members: &[Says]) -> Self {
        // Members listen until the program ends, so each world has addresses of its own: the port may come again.
        static WORLDS: AtomicU8 = AtomicU8::new(1);
        let network = WORLDS.fetch_add(1, Ordering::Relaxed);
        let port = TcpListener::bind((Ipv4Addr::new(127, network, 0, 1), 0)).unwrap();
        let mut world = Self {
            ledger: FakeLedger::default(),
            pool: Arc::default(),
            jobs: FakeJobs::default(),
            clock: TestClock(AtomicI64::new(T0.0)),
            settings: Settings {
                minimum: 1,
                slots_per_member: 4,
                target_utilisation: 80,
                stabilisation: Millis::minutes(4),
                ..Settings::default()
            },
            waiting: Waiting::default(),
            no_jobs: Some("no project is named"),
            network,
            port: port.local_addr().unwrap().port(),
            says: Arc::default(),
            members: 0,
            runs: 0,
        };
        let hook =
            Hook { name: "drain".to_owned(), heartbeat: Millis::secs(1800), default_result: "CONTINUE".to_owned() };
        world.pool.put(Group {
            name: GROUP.to_owned(),
            minimum: 0,
            maximum: 20,
            desired: u32::try_from(members.len()).unwrap(),
            protects_new_members: true,
            suspended: vec![REBALANCE.to_owned()],
            hook: Some(hook),
            members: Vec::new(),
        });
        members.iter().for_each(|says| drop(world.join(says.clone())));
        world
    }

    /// One member more.
    pub fn join(&mut self, says: Says) -> String {
        self.members += 1;
        let id = id(self.members);
        let launched_at = T0 - Millis::minutes(60);
        self.change(|group| {
            group.members.push(Member { id: id.clone(), phase: Phase::InService, protected: true, launched_at: None });
        });
        self.pool.show(&id, Machine { address: Some(self.address(self.members)), launched_at });
        self.listen(self.members);
        self.say(self.members, says);
        id
    }

    /// Changes the group as somebody else would.
    pub fn change(&self, change: impl FnOnce(&mut Group)) {
        let mut group = self.pool.now(GROUP).unwrap();
        change(&mut group);
        self.pool.put(group);
    }

    /// What a member says from now on.
    pub fn say(&self, member: usize, says: Says) {
        self.says.lock().unwrap().insert(self.address(member), says);
    }

    fn address(&self, member: usize) -> IpAddr {
        let [_, _, high, low] = u32::try_from(member).unwrap().to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(127, self.network, high + 1, low))
    }

    fn listen(&self, member: usize) {
        let address = self.address(member);
        let listener = TcpListener::bind((address, self.port)).unwrap();
        let says = Arc::clone(&self.says);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let now = says.lock().unwrap()[&address].clone();
                thread::spawn(move || serve(stream.unwrap(), &now));
            }
        });
    }

    /// A run, a minute after the one before.
    pub async fn run(&mut self) -> Result<Report, Error> {
        self.runs += 1;
        let now = T0 + Millis::minutes(self.runs.into());
        self.clock.0.store(now.0, Ordering::Relaxed);
        self.again(false).await
    }

    /// A run at the same time.
    pub async fn again(&self, dry_run: bool) -> Result<Report, Error> {
        let exporters = Exporters::new(self.port, PATIENCE).unwrap();
        let scaler = Scaler {
            group: GROUP,
            settings: &self.settings,
            ledger: &self.ledger,
            pool: &*self.pool,
            tables: &exporters,
            jobs: self.no_jobs.map_or(Ok(&self.jobs), Err),
            waiting: &self.waiting,
            clock: &self.clock,
        };
        scaler.run("run", dry_run, self.clock.now() + Millis::secs(50)).await
    }
}

/// The nth member's id.
pub fn id(member: usize) -> String {
    format!("i-{member:04}")
}
