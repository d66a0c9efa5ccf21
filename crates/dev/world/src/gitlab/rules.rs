//! GitLab's numbers.

use runnerless_core::time::Millis;

/// How this GitLab behaves. The defaults are GitLab's own.
#[derive(Clone, Copy, Debug)]
pub struct GitLabRules {
    /// A 201 only offers the job, to runners that can accept: it runs once it is accepted (GitLab 18.5, behind a flag).
    pub two_phase: bool,
    /// How long an offer hides its job from everybody else.
    pub offer: Millis,
    /// How often a job that waits is looked at; one that no online runner may have is dropped then.
    pub stuck: Millis,
    /// A job that waited for this long is dropped whoever is online.
    pub hopeless: Millis,
    /// A runner is online for so long after its last contact.
    pub online: Millis,
    /// A running job without a sign of life for this long is dropped.
    pub silent: Millis,
    /// A sign of life is written down only when the last one is older than this.
    pub touch: Millis,
    /// Whether hooks that fail are disabled (on at gitlab.com, off elsewhere).
    pub auto_disable: bool,
    /// The first pause of a hook that failed four times in a row; doubles with each further failure.
    pub first_pause: Millis,
    /// `created` hooks are sent in bulk, up to this much later than the pipeline's other hooks.
    pub created_late: Millis,
}

impl Default for GitLabRules {
    fn default() -> Self {
        Self {
            two_phase: true,
            offer: Millis::minutes(2),
            stuck: Millis::minutes(60),
            hopeless: Millis::days(1),
            online: Millis::minutes(120),
            silent: Millis::minutes(60),
            touch: Millis::minutes(15),
            auto_disable: true,
            first_pause: Millis::minutes(1),
            created_late: Millis::secs(3),
        }
    }
}

/// Failures in a row after which a hook is paused.
pub(super) const PAUSED_AT: u32 = 4;
/// Failures in a row after which a hook is disabled until somebody tests it.
pub(super) const DISABLED_AT: u32 = 40;
/// The longest pause of a hook.
pub(super) const LONGEST_PAUSE: Millis = Millis::days(1);
