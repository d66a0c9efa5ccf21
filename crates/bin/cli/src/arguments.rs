//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use runnerless_core::id::JobKey;
use runnerless_core::lane::Engine;

use crate::secrets::Name;

/// Operates a Runnerless stack.
///
/// Where the stack is comes from its outputs: --outputs FILE, or the environment variables MAPPING_TABLE_NAME,
/// LEDGER_TABLE_NAME, PARAMETER_PATH, ROUTER_FUNCTION_NAME and RECONCILER_FUNCTION_NAME. Credentials come from AWS_ACCESS_KEY_ID and its
/// companions; `eval "$(aws configure export-credentials --format env)"` exports those of a profile.
///
/// Exit codes: 0 fine, 1 a finding or failed work, 2 usage, 3 not configured, 4 a remote error.
#[derive(Debug, Parser)]
#[command(name = "runnerless", version)]
pub struct Arguments {
    /// The stack's name, to find it in --outputs.
    #[arg(long, global = true, value_name = "NAME", default_value = "runnerless")]
    pub stack: String,
    /// A file with the stack's outputs, as `aws cloudformation describe-stacks` prints them.
    #[arg(long, global = true, value_name = "FILE")]
    pub outputs: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Which job gets which runner.
    #[command(subcommand)]
    Map(Map),
    /// Says where a job would go, and why.
    Explain(Explain),
    /// Secrets in Parameter Store.
    #[command(subcommand)]
    Secrets(Secrets),
    /// Lanes.
    #[command(subcommand)]
    Lane(Lane),
    /// Jobs in the ledger.
    #[command(subcommand)]
    Job(Job),
    /// Launches in the ledger.
    #[command(subcommand)]
    Launch(Launch),
    /// Does now what the reconciler does each minute, and says what came of each item.
    Sweep {
        /// Only plans.
        #[arg(long)]
        dry_run: bool,
        /// Prints JSON lines: the items, and then the rest of the report.
        #[arg(long)]
        json: bool,
    },
    /// Projects that the sweep lists when there is an API token.
    #[command(subcommand)]
    Project(Project),
    /// The stack as a whole.
    #[command(subcommand)]
    Stack(Stack),
}

/// `stack`.
#[derive(Debug, Subcommand)]
pub enum Stack {
    /// Removes the stack that --stack names: ends its launches, waits for its jobs, deletes it, and says what stays.
    ///
    /// Run it again when it was ended anywhere: it goes on. Its outputs are CloudFormation's own, if none are given.
    Remove {
        /// Does not ask for the stack's name.
        #[arg(long)]
        yes: bool,
        /// How long jobs that run are waited for, in minutes.
        #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=44_640))]
        wait: u32,
        /// Waits for no job: those that run are reported to GitLab as failed, and their instances end.
        #[arg(long)]
        now: bool,
        /// Deletes the stack although GitLab does not answer: what is to be removed or told there stays undone.
        #[arg(long)]
        without_gitlab: bool,
    },
    /// Takes jobs again after a removal that was not finished.
    Resume,
}

/// `map`.
#[derive(Debug, Subcommand)]
pub enum Map {
    /// Loads a mapping file: all of it, or nothing when one row is refused.
    Load {
        /// The file.
        file: PathBuf,
        /// Rows that name neither projects nor groups are for every project, and that is meant.
        #[arg(long)]
        global: bool,
        /// Who owns the rows; nobody else can narrow or replace them.
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
        /// Own rows become exactly what the file says, also where that takes something away.
        #[arg(long)]
        replace: bool,
        /// Decides and prints, and writes nothing.
        #[arg(long, overrides_with = "dry_run")]
        dry_run: bool,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Checks a mapping file without AWS.
    Check {
        /// The file.
        file: PathBuf,
        /// Rows for every project are meant.
        #[arg(long)]
        global: bool,
        /// Who would own the rows.
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
    },
    /// Prints the table.
    List {
        /// Prints JSON, which `map load` takes.
        #[arg(long)]
        json: bool,
    },
    /// Deletes rows; a lane's entry goes with its last row.
    Delete {
        /// The rows' keys: pk sk, pk sk, ...
        #[arg(required = true, num_args = 2.., value_names = ["PK", "SK"])]
        keys: Vec<String>,
        /// The rows' owner.
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
    },
}

/// `explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// The job's full name, as GitLab shows it.
    #[arg(long)]
    pub name: String,
    /// Its project's full path.
    #[arg(long, value_name = "PATH", default_value = "")]
    pub project: String,
    /// Its project's id: what the default route learned there counts.
    #[arg(long, value_name = "ID")]
    pub project_id: Option<u64>,
    /// Its branch, tag or merge request ref.
    #[arg(long = "ref", value_name = "REF", default_value = "")]
    pub git_ref: String,
    /// Its stage.
    #[arg(long, default_value = "")]
    pub stage: String,
    /// Its tags, by commas, as the router knows them with an API token; '' for none.
    #[arg(long)]
    pub tags: Option<String>,
    /// A mapping file instead of the table.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The default route (LAMBDA, EC2 or NONE) instead of the stack's own.
    #[arg(long, value_name = "ROUTE")]
    pub default_route: Option<String>,
    /// The default route's tags, with --default-route.
    #[arg(long, value_name = "TAGS", default_value = "", requires = "default_route")]
    pub default_tags: String,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

/// `secrets`.
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Writes a secret from a file or standard input, encrypted.
    Put {
        /// Which.
        name: Name,
        /// The file that holds the value alone; standard input otherwise.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// The lane's engine (LAMBDA or EC2), for runner-token.
        #[arg(long, value_parser = engine, requires = "lane_tags")]
        engine: Option<Engine>,
        /// The lane's tags by commas, '' for the untagged lane, for runner-token.
        #[arg(long, value_name = "TAGS", requires = "engine")]
        lane_tags: Option<String>,
        /// The present value becomes the previous one first, so that both are taken.
        #[arg(long)]
        keep_previous: bool,
    },
}

/// `lane`.
#[derive(Debug, Subcommand)]
pub enum Lane {
    /// Prints a lane's id and the name of the parameter with its runner token.
    Id {
        /// LAMBDA or EC2.
        #[arg(long, value_parser = engine)]
        engine: Engine,
        /// The lane's tags by commas, '' for the untagged lane.
        #[arg(long)]
        tags: String,
    },
}

/// `job`.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Prints a job's row.
    Show {
        /// <project id>/<job id>.
        key: JobKey,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `launch`.
#[derive(Debug, Subcommand)]
pub enum Launch {
    /// Prints a launch's row.
    Show {
        /// The launch's id.
        id: String,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `project`.
#[derive(Debug, Subcommand)]
pub enum Project {
    /// Makes projects known before their first webhook.
    Add {
        /// Full paths or ids; paths need the API token.
        #[arg(required = true, value_name = "PATH OR ID")]
        projects: Vec<String>,
    },
    /// Prints the known projects.
    List {
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

fn engine(text: &str) -> Result<Engine, String> {
    Engine::parse(text).ok_or_else(|| "write LAMBDA or EC2".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn usage_errors_have_their_exit_code() {
        for line in [
            "",
            "map",
            "map load",
            "map delete a",
            "lane id --engine lambda --tags a",
            "job show 7",
            "sweep all",
            "project add",
            "explain",
            "stack",
            "stack remove --wait 0",
            "stack remove --wait soon",
            "stack remove runnerless",
            "secrets put nothing",
            "secrets put runner-token --engine EC2",
        ] {
            let words = std::iter::once("runnerless").chain(line.split_whitespace());
            let error = Arguments::try_parse_from(words).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
