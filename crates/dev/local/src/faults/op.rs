//! What a fault hits, and what can be done to it.

use crate::proxy::faults::Deed;

/// What is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A call to AWS, at the witness: `<service>:<Operation>`, or `<service>:*`; of the stack's own API `execute-api:POST
    /// /claim`, and `none:POST /launch`, which nobody signs.
    Aws,
    /// A call to GitLab, at the simulator: `gitlab:<METHOD> <path below /api/v4>`, or `gitlab:*` for GitLab as a whole.
    GitLab,
    /// GitLab's hook about a job's status: `hook:<status>`.
    Hook,
    /// The launch's instance, when it has come so far: `instance:<moment>`.
    Instance,
}

/// An instance's moments: as EC2 shows it before its runner begins, as the launch's row stands then, and the script.
const MOMENTS: [&str; 5] = ["pending", "running", "polling", "bound", "script"];

/// A fault that nobody can set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadOp {
    /// `op` has no form of ours.
    #[error(
        "op is {0:?}; write <service>:<Operation> as in ec2:CreateFleet, <service>:<METHOD> /<segment> as in \
         execute-api:POST /claim, gitlab:<METHOD> <path> or gitlab:*, hook:<status>, or instance:<moment> with one of: pending, running, polling, bound, script"
    )]
    Op(String),
    /// A call to AWS.
    #[error(transparent)]
    Aws(#[from] crate::proxy::faults::BadFault),
    /// `do` fits no such `op`.
    #[error("do is {deed:?}, and {op} takes: {words}")]
    Deed {
        /// The op.
        op: String,
        /// What was to be done.
        deed: String,
        /// What can be done.
        words: &'static str,
    },
}

impl Op {
    /// Reads an `op` and its `do`.
    ///
    /// # Errors
    /// See [`BadOp`].
    pub fn parse(op: &str, deed: &str) -> Result<Self, BadOp> {
        let bad = || BadOp::Op(op.to_owned());
        let (service, what) = op.split_once(':').filter(|(_, what)| !what.is_empty()).ok_or_else(bad)?;
        let (kind, fits, words) = match (service, what) {
            ("gitlab", "*") => (Self::GitLab, has_number(deed, "down"), "down:<seconds>"),
            ("gitlab", call) => {
                let (method, path) = call.split_once(' ').ok_or_else(bad)?;
                if !method.chars().all(|c| c.is_ascii_uppercase()) || path.is_empty() || path.starts_with('/') {
                    return Err(bad());
                }
                let simple = matches!(deed, "hang" | "lose_answer");
                let fits = simple || ["status", "done_status", "delay"].iter().any(|word| has_number(deed, word));
                (Self::GitLab, fits, "status:<code>, done_status:<code>, delay:<ms>, hang, lose_answer")
            }
            ("hook", _) => {
                let fits = matches!(deed, "lose" | "double" | "early") || has_number(deed, "late");
                (Self::Hook, fits, "lose, double, early, late:<seconds>")
            }
            ("instance", moment) if MOMENTS.contains(&moment) => {
                let fits = matches!(deed, "kill" | "warn" | "warn_twice");
                (Self::Instance, fits, "kill, warn, warn_twice")
            }
            ("instance", _) => return Err(bad()),
            (_, operation) => {
                if !is_operation(operation) {
                    return Err(bad());
                }
                deed.parse::<Deed>()?;
                return Ok(Self::Aws);
            }
        };
        if fits { Ok(kind) } else { Err(BadOp::Deed { op: op.to_owned(), deed: deed.to_owned(), words }) }
    }
}

/// Whether a text is `*`, `CreateFleet`, or `POST /claim`.
fn is_operation(text: &str) -> bool {
    let named = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
    match text.split_once(" /") {
        Some((method, segment)) => method.chars().all(|c| c.is_ascii_uppercase()) && named(method) && named(segment),
        None => text == "*" || named(text),
    }
}

/// Whether a deed is `<word>:<whole number>`.
fn has_number(deed: &str, word: &str) -> bool {
    deed.strip_prefix(word).and_then(|rest| rest.strip_prefix(':')).is_some_and(|number| number.parse::<u32>().is_ok())
}
