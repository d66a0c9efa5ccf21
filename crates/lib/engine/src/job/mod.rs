//! The stages of a job, one after the other, and what their ends mean for each other.

mod limits;
mod refusals;
mod setup;
mod stage;

use runnerless_core::chain::chain;
use runnerless_gitlab::protocol::JobBody;

pub(crate) use limits::Limits;
pub(crate) use setup::{Setup, SetupError, header, log_format};
pub(crate) use stage::{Signal, Stages};

use crate::caches::Caches;
use crate::config::{Host, ImagePolicy, RunConfig};
use crate::duration;
use crate::files::Courier;
use crate::log::Stream;
use crate::script::{Hooks, Place, Script, Strategy};
use crate::verdict::Verdict;

/// A stage ended the job's good run.
type Step = Result<(), Verdict>;

/// Most attempts that a job may ask for at a stage.
pub(crate) const MOST_ATTEMPTS: u32 = 10;
/// First wait between two attempts; doubles.
pub(crate) const FIRST_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs all stages. The log's last line is not written here: the verdict may still change when the end is reported.
pub(crate) async fn run<H: Host>(courier: &Courier<'_>, caches: &mut Caches<'_, H>, stages: &mut Stages) -> Verdict {
    let Courier { config, body, setup, .. } = *courier;
    let (verdict, keeps) = match prepare(config, body, setup, stages).await {
        Err(verdict) => (verdict, false),
        Ok(()) => match inputs(courier, caches, stages).await {
            // What was there before it went wrong may be what the job wants kept; a job that must end keeps nothing.
            Err(verdict) => {
                let failed = matches!(verdict, Verdict::Exit(_) | Verdict::Signal(_));
                (verdict, failed)
            }
            Ok(()) => {
                let verdict = steps(body, setup, stages).await;
                let goes_on = verdict.lets_after_script_run();
                (verdict, goes_on)
            }
        },
    };
    let verdict = if keeps { keep(courier, caches, stages, verdict).await } else { verdict };
    leave(setup, stages, &verdict).await;
    verdict
}

/// What comes before anything of the job is there.
async fn prepare(config: &RunConfig, body: &JobBody, setup: &Setup, stages: &mut Stages) -> Step {
    prepare_executor(config, body, stages)?;
    setup.make().map_err(|error| Verdict::System(chain(&error)))?;
    let section = stages.open("prepare_script", "Preparing environment");
    let uname = rustix::system::uname();
    stages.log().job(Stream::Out, format!("Running on {}...\n", uname.nodename().to_string_lossy()).as_bytes());
    section.close();
    Ok(())
}

/// What the script works on: sources, caches, and the artifacts of other jobs.
async fn inputs<H: Host>(courier: &Courier<'_>, caches: &mut Caches<'_, H>, stages: &mut Stages) -> Step {
    get_sources(courier.body, courier.setup, stages).await?;
    stages.end_leftovers().await?;
    caches.restore(stages).await?;
    courier.bring(stages).await
}

fn prepare_executor(config: &RunConfig, body: &JobBody, stages: &Stages) -> Step {
    let section = stages.open("prepare_executor", "Preparing the \"shell\" executor");
    stages.log().note("Using Shell (bash) executor...");
    let fits = refusals::images(config.images, body);
    if let (Err(sentence), ImagePolicy::Warn) = (&fits, config.images) {
        stages.log().warn(sentence);
    }
    section.close();
    if let (Err(sentence), ImagePolicy::Fail) = (fits, config.images) {
        return Err(Verdict::Configuration(sentence));
    }
    refusals::unknown_work(body)
}

async fn get_sources(body: &JobBody, setup: &Setup, stages: &mut Stages) -> Step {
    let attempts = setup.number("GET_SOURCES_ATTEMPTS").unwrap_or(1).clamp(1, MOST_ATTEMPTS);
    let section = stages.open("get_sources", "Getting source from Git repository");
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    let result = loop {
        let script = sources_script(body, setup, attempt > 1);
        let result = stages.shell(&script, setup.places.builds.as_path(), stages.preparation_limit()).await;
        if attempt >= attempts || !matches!(result, Err(Verdict::Exit(_) | Verdict::Signal(_))) {
            break result;
        }
        attempt += 1;
        stages.log().warn(&format!(
            "getting the sources failed; attempt {attempt} of {attempts} in {}",
            duration::format(pause)
        ));
        if let Err(stopped) = stages.pause(pause).await {
            break Err(stopped);
        }
        pause *= 2;
    };
    section.close();
    stages.explain(&result, "get_sources");
    result
}

fn sources_script(body: &JobBody, setup: &Setup, from_nothing: bool) -> Script {
    let mut script = setup.script("running");
    let hook = |name: &str| body.hooks.iter().filter(|hook| hook.name == name).flat_map(|h| h.script.clone()).collect();
    let (before, after): (Vec<String>, Vec<String>) = (hook("pre_get_sources_script"), hook("post_get_sources_script"));
    let hooks = Hooks { before: &before, after: &after, sections: setup.script_sections() };
    let (project, home) = setup.source_paths();
    let place = Place { project: &project, home: &home, proxy: setup.proxy.as_ref() };
    // A tree that is to be kept as it is must not be dropped by a second attempt.
    let from_nothing = from_nothing && setup.sources.strategy() != Strategy::None;
    setup.sources.write(&mut script, &place, &hooks, from_nothing);
    script
}

/// The script and the other steps, then `after_script`.
async fn steps(body: &JobBody, setup: &Setup, stages: &mut Stages) -> Verdict {
    let limit = stages.script_limit(setup);
    let mut verdict = Verdict::Success;
    for step in body.steps.iter().filter(|step| step.name != "after_script") {
        let name = format!("step_{}", step.name);
        let section = stages.open(&name, &format!("Executing \"{name}\" stage of the job script"));
        let mut script = setup.script("running");
        script.line(&setup.enter_project());
        script.commands(&setup.lines(step), setup.script_sections());
        let result = stages.script(&script, setup.places.builds.as_path(), limit.clone()).await;
        section.close();
        stages.explain(&result, &name);
        if let Err(failed) = result {
            verdict = failed;
            break;
        }
    }
    if verdict.lets_after_script_run() {
        verdict = after_script(body, setup, stages, verdict).await;
    }
    match stages.end_leftovers().await {
        Err(left) if verdict == Verdict::Success => left,
        _ => verdict,
    }
}

async fn after_script(body: &JobBody, setup: &Setup, stages: &mut Stages, verdict: Verdict) -> Verdict {
    let Some(step) = body.steps.iter().find(|step| step.name == "after_script" && !step.script.is_empty()) else {
        return verdict;
    };
    stages.heed_cancel_no_more();
    let section = stages.open("after_script", "Running after_script");
    let mut script = setup.script(verdict.job_status());
    script.announce("Running after script...");
    script.line(&setup.enter_project());
    script.commands(&setup.lines(step), setup.script_sections());
    let limit = stages.after_script_limit(setup);
    let result = stages.shell(&script, setup.places.builds.as_path(), limit).await;
    section.close();
    stages.explain(&result, "after_script");
    match result {
        Ok(()) => verdict,
        // The job's own end wins over that of its after_script, but for what ends everything.
        Err(whole @ (Verdict::Over | Verdict::Stopped | Verdict::System(_) | Verdict::JobTimeout(_))) => whole,
        Err(failed) if verdict == Verdict::Success && !setup.flag("AFTER_SCRIPT_IGNORE_ERRORS", true) => failed,
        Err(failed) => {
            let how = failed.after_colon();
            stages.log().warn(&format!("after_script failed, but job will continue unaffected{how}"));
            verdict
        }
    }
}

/// What of the job is kept. A job that went well fails with an artifact that cannot be, and never with a cache.
async fn keep<H: Host>(
    courier: &Courier<'_>,
    caches: &mut Caches<'_, H>,
    stages: &mut Stages,
    verdict: Verdict,
) -> Verdict {
    let kept = match caches.save(stages, &verdict).await {
        Ok(()) => courier.keep(stages, &verdict).await,
        ended => ended,
    };
    match kept {
        Err(whole @ (Verdict::Over | Verdict::Stopped)) => whole,
        Err(failed) if verdict == Verdict::Success => failed,
        _ => verdict,
    }
}

/// The cleaning up.
async fn leave(setup: &Setup, stages: &mut Stages, verdict: &Verdict) {
    if matches!(verdict, Verdict::Over | Verdict::Stopped | Verdict::JobTimeout(_)) {
        stages.end_leftovers_quietly().await;
        setup.clean_quietly(stages.log());
        return;
    }
    // Folders that were never made need no cleaning: the job was refused before.
    if !setup.is_made() {
        return;
    }
    let section = stages.open("cleanup_file_variables", "Cleaning up project directory and file based variables");
    stages.end_leftovers_quietly().await;
    setup.clean_quietly(stages.log());
    section.close();
}
