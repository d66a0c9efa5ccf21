//! As which runner a job's launch asks: each way to a runner that is not stored for the lane, and the official runner, at a
//! GitLab that is below a path of its address. Each runs one job on an instance, and nothing of it is left, at GitLab least of all.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use runnerless_core::fleet::LANE_TAG;
use runnerless_core::id::{LaneId, LaunchId};
use runnerless_core::lane::{Engine, TagSet, lane_id, system_id};
use runnerless_core::lane_row::lane_runner_name;
use runnerless_core::own_runner::own_runner_name;
use serde_json::{Value, json};

use super::InstanceCases;
use super::gate::Gate;
use crate::aws::SSM;
use crate::case_lines::Verdict;
use crate::field::{Field, Plot, until};
use crate::instances::Ec2;
use crate::layout::Layout;
use crate::seed::{Target, output};
use crate::stack::{Options, Stack};
use crate::suite::{SuiteError, Tally};
use crate::{schedule, up};

/// The part's name.
pub(super) const PART: &str = "runners";
/// Where this stack's GitLab is.
const ROOT: &str = "/gitlab";
/// The project of the jobs.
const PROJECT: &str = "acme/runners";
/// Longer than anything that a case builds on takes, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// Who stands in for the official runner.
const STAND_IN: &str = "crates/bin/runner/tests/support/gitlab-runner";

/// A lane with one job; both are called so.
#[derive(Clone, Copy)]
struct Way {
    lane: &'static str,
    about: &'static str,
    own_runner: bool,
    has_token: bool,
    asks_as: As,
}

/// As which runner a launch asks.
#[derive(Clone, Copy)]
enum As {
    /// One that was made for it.
    Its,
    /// One that was made for the lane.
    MadeForTheLane,
    /// The one whose token was stored.
    Stored,
}

const OWN: Way = Way {
    lane: "own",
    about: "each launch has one, made with the API token",
    own_runner: true,
    has_token: true,
    asks_as: As::Its,
};
const REGISTERED: Way = Way {
    lane: "registered",
    about: "each launch has one, made with a registration token",
    own_runner: false,
    has_token: false,
    asks_as: As::Its,
};
const MADE: Way = Way {
    lane: "made",
    about: "the sweep makes one for a lane without a token",
    own_runner: false,
    has_token: false,
    asks_as: As::MadeForTheLane,
};
const OFFICIAL: Way =
    Way { lane: "official", about: "the official one", own_runner: false, has_token: true, asks_as: As::Stored };
const WAYS: [Way; 4] = [OWN, REGISTERED, MADE, OFFICIAL];

impl Way {
    fn lane_id(&self) -> LaneId {
        lane_id(Engine::Ec2, &TagSet::new([self.lane]).unwrap_or_default())
    }

    fn plot(&self) -> Plot<'static> {
        let target = Target::Instance { market: None, timeout_s: None, own_runner: self.own_runner };
        Plot { id: self.lane, lane: self.lane, target, has_token: self.has_token }
    }

    /// What GitLab calls the lane's runner, which stays; `None` where the lane has none.
    fn lanes_runner(&self) -> Option<String> {
        match self.asks_as {
            As::MadeForTheLane => Some(lane_runner_name(&self.lane_id())),
            As::Its | As::Stored => self.has_token.then(|| self.lane.to_owned()),
        }
    }

    /// What GitLab calls the runner that the launch asks as.
    fn runner_of(&self, launch: &LaunchId) -> String {
        match self.asks_as {
            As::Its => own_runner_name(launch),
            As::MadeForTheLane => lane_runner_name(&self.lane_id()),
            As::Stored => self.lane.to_owned(),
        }
    }
}

/// The stack of these cases: beside the other parts', and its GitLab below a path.
pub(super) fn options(other: &Options) -> Result<Options, SuiteError> {
    let layout = Layout::new(other.layout.root(), &other.layout.at(PART))?;
    Ok(Options { layout, gitlab_root: ROOT.to_owned(), ..other.clone() })
}

/// Plays them.
pub(super) async fn runners(wish: &InstanceCases, stack: &Stack, tally: &mut Tally) -> Result<(), SuiteError> {
    let deployment = deploy(stack, "own").await?;
    let gate = Gate::new().await.map_err(SuiteError::machine("a port of loopback"))?;
    let (plots, file) = (WAYS.map(|way| way.plot()), pipeline(&gate));
    let folder = stack.layout().tmp().join("runner-cases");
    let field = Field::prepare(stack, &deployment, PROJECT, &plots, &folder, &file).await?;
    let ground = Ground { field, gate };
    ground.allow().await?;
    // It makes the runner of the lane that has none.
    ground.field.sweep().await?;
    for way in [OWN, REGISTERED, MADE] {
        tally.of(&ground.plays(&way).await?);
    }
    bring(stack.layout(), wish.official.as_deref())?;
    deploy(stack, "shell").await?;
    tally.of(&ground.plays(&OFFICIAL).await?);
    tally.of(&ground.complains().await?);
    Ok(())
}

/// Deploys, with this program for the jobs of instances.
async fn deploy(stack: &Stack, runner: &str) -> Result<crate::deploy::Deployment, SuiteError> {
    let deployment = up::deploy_with(stack, [("Ec2Runner", runner.to_owned())]).await?;
    if !schedule::switch_off(&stack.aws()).await? {
        return Err(SuiteError::Missing("scheduled rule".to_owned()));
    }
    Ok(deployment)
}

/// Has the image bring the official runner.
fn bring(layout: &Layout, official: Option<&Path>) -> Result<(), SuiteError> {
    let program = official.map_or_else(|| layout.source(STAND_IN), PathBuf::from);
    let put = std::fs::create_dir_all(layout.image())
        .and_then(|()| std::fs::copy(&program, layout.image().join("gitlab-runner")));
    put.map(drop).map_err(SuiteError::machine(program.display()))
}

/// The `.gitlab-ci.yml`.
fn pipeline(gate: &Gate) -> String {
    let script = gate.script().replace('\\', "\\\\").replace('"', "\\\"");
    let job = |Way { lane, .. }: Way| {
        format!(
            "{lane}:\n  when: manual\n  tags: [{lane}]\n  variables: {{GIT_STRATEGY: none}}\n  script:\n    - \"{script}\"\n"
        )
    };
    WAYS.map(job).concat()
}

/// The stack under the cases.
struct Ground<'a> {
    field: Field<'a>,
    gate: Gate,
}

impl Ground<'_> {
    /// Gives the stack the rights that the ways need, and no more: a token that may read and make runners, whose runners are
    /// the project's, and the project's registration token.
    async fn allow(&self) -> Result<(), SuiteError> {
        let (field, project) = (&self.field, self.field.project);
        let settings = json!({"registration_tokens": true});
        field.simulator.call(Method::POST, "/_sim/v1/settings", &settings).await?;
        allow_making(field).await?;
        store(field, &token_name(&REGISTERED), &format!("GR1348941{project}")).await
    }

    /// Has a lane's job run, looks as which runner, and what is left when it is over.
    async fn plays(&self, way: &Way) -> Result<Verdict, SuiteError> {
        let (field, job) = (&self.field, self.field.job_id(way.lane)?);
        let expected = json!({"asks_as": match way.asks_as {
            As::Its => "a runner of the launch's own",
            As::MadeForTheLane => "the runner that was made for the lane",
            As::Stored => "the lane's runner",
        }, "job": "success", "launches": 1, "left": []});
        let mut verdict = Verdict::new(format!("runners: {}", way.about), expected);
        field.start(job).await?;
        let runs = self.gate.is_there(way.lane).await;
        verdict.unless(runs, || "the script does not begin".to_owned());
        let row = field.row(job).await?;
        let launch = match way.asks_as {
            As::Stored if runs => self.recognised(job).await?,
            _ => field.launch(job, &row).await?,
        };
        verdict.unless(launch["state"] == "bound", || format!("the launch is {}", launch["state"]));
        let id = LaunchId::new(launch["launch"].as_str().unwrap_or_default());
        let (asked_as, expected) = (field.shown(job).await?["runner_description"].clone(), way.runner_of(&id));
        verdict.unless(asked_as == expected.as_str(), || format!("the job is {asked_as}'s, and not {expected:?}'s"));
        self.gate.let_through(way.lane);

        let left = self.left_of(way, job, &id).await?;
        verdict.unless(left.is_empty(), || format!("left: {left:?}"));
        let (shown, row) = (field.shown(job).await?, field.row(job).await?);
        verdict.unless(shown["status"] == "success", || format!("the job is {}", shown["status"]));
        verdict.unless(row["attempt"] == 1, || format!("it took {} launches", row["attempt"]));
        let made_by = launch["own_runner"]["by"].clone();
        verdict.got = json!({"asks_as": asked_as, "made_by": made_by, "job": shown["status"], "launches": row["attempt"], "left": left, "gitlab": ROOT});
        Ok(verdict)
    }

    /// The official runner tells nobody what it got: sweeps ask GitLab, until the launch is bound. Its row.
    async fn recognised(&self, job: u64) -> Result<Value, SuiteError> {
        let field = &self.field;
        let bound = until(PAUSE, LIMIT, async || {
            field.sweep().await?;
            let launch = field.launch(job, &field.row(job).await?).await?;
            Ok::<_, SuiteError>((launch["state"] == "bound").then_some(launch))
        });
        Ok(bound.await?.unwrap_or_default())
    }

    /// What is left of a job, once nothing is or the time is over.
    async fn left_of(&self, way: &Way, job: u64, launch: &LaunchId) -> Result<Vec<String>, SuiteError> {
        let (field, left) = (&self.field, RefCell::new(Vec::new()));
        let gone = until(PAUSE, LIMIT, async || {
            let mut look = self.left(way).await?;
            let row = field.item(&launch.pk()).await?;
            if row["state"] != "closed" || row["own_runner"]["token"].is_string() {
                look.push(format!("launch {launch}, which is {}", row["state"]));
            }
            if field.shown(job).await?["ended"] != true {
                look.push("the job, which runs".to_owned());
            }
            let nothing = look.is_empty().then_some(());
            left.replace(look);
            Ok::<_, SuiteError>(nothing)
        });
        gone.await?;
        Ok(left.into_inner())
    }

    /// What is there of a lane now, at EC2 and at GitLab, that does not stay with the lane.
    async fn left(&self, way: &Way) -> Result<Vec<String>, SuiteError> {
        let (ec2, lane) = (Ec2::new(self.field.stack.aws()), way.lane_id());
        let (instances, volumes) = (ec2.instances().await?, ec2.volumes().await?);
        let mut left = Vec::new();
        for instance in instances.iter().filter(|one| one.tags.get(LANE_TAG).is_some_and(|of| of == lane.as_str())) {
            if instance.state != "terminated" {
                left.push(format!("instance {}, which is {}", instance.id, instance.state));
            }
            let own = instance.volumes.iter().filter(|volume| volumes.contains(&volume.id));
            left.extend(own.map(|volume| format!("volume {}", volume.id)));
        }
        let lanes = lanes();
        for runner in self.runners().await? {
            let (name, managers) = (text(&runner["description"]), runner["managers"].as_array().cloned());
            let Some((_, lane)) = lanes.iter().find(|(lanes_runner, _)| *lanes_runner == name) else {
                left.push(format!("runner {name:?}"));
                continue;
            };
            let lanes_own = system_id(lane);
            let others = managers.into_iter().flatten().filter(|id| *id != lanes_own.as_str());
            left.extend(others.map(|id| format!("runner manager {id} of {name:?}")));
        }
        Ok(left)
    }

    async fn runners(&self) -> Result<Vec<Value>, SuiteError> {
        let all = self.field.simulator.call(Method::GET, "/_sim/v1/runners", &Value::Null).await?;
        Ok(all.as_array().cloned().unwrap_or_default())
    }

    /// What a strict GitLab would not have forgiven in all of that.
    async fn complains(&self) -> Result<Verdict, SuiteError> {
        let mut verdict = Verdict::new("runners: what GitLab complains of", json!([]));
        let violations = self.field.simulator.violations().await?;
        verdict.unless(violations.is_empty(), || violations.join("; "));
        verdict.got = json!(violations);
        Ok(verdict)
    }
}

/// Gives the stack a token that may read and make runners, which are the project's.
pub(super) async fn allow_making(field: &Field<'_>) -> Result<(), SuiteError> {
    let scopes = json!({"scopes": ["read_api", "create_runner"]});
    let made = field.simulator.call(Method::POST, "/_sim/v1/tokens", &scopes).await?;
    store(field, "control/ApiToken", made["token"].as_str().unwrap_or_default()).await?;
    store(field, "control/RunnerScope", &format!("project/{}", field.project)).await
}

async fn store(field: &Field<'_>, name: &str, value: &str) -> Result<(), SuiteError> {
    let path = output(field.deployment, "ParameterPath")?;
    let input = json!({"Name": format!("{path}/{name}"), "Value": value, "Type": "SecureString", "Overwrite": true});
    field.stack.aws().call(SSM, "PutParameter", &input).await?;
    Ok(())
}

/// The lanes that have a runner, with what GitLab calls it. The default route's has no token either, so one is made for it.
fn lanes() -> Vec<(String, LaneId)> {
    let default = lane_id(Engine::Lambda, &TagSet::default());
    let ways = WAYS.iter().filter_map(|way| Some((way.lanes_runner()?, way.lane_id())));
    ways.chain([(lane_runner_name(&default), default)]).collect()
}

/// The parameter of a lane's token, below the stack's path.
fn token_name(way: &Way) -> String {
    format!("runner/{}/{}/RegistrationToken", Engine::Ec2.as_str(), way.lane_id())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
