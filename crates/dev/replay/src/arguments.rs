//! The command line.

use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt as _};
use runnerless_core::pool::{BadSetting, Settings};
use runnerless_core::time::Millis;

/// What is asked for.
#[derive(Debug)]
pub struct Arguments {
    /// The trace's file; without one the bundled traces are replayed.
    pub trace: Option<PathBuf>,
    /// Only jobs with this tag.
    pub tag: Option<String>,
    /// Where the lines go, beside standard output.
    pub out: Option<PathBuf>,
    /// A bundled trace to print instead.
    pub print: Option<String>,
    /// So many random worlds instead of a trace.
    pub worlds: Option<u64>,
    /// What is the same for all scalers.
    pub conditions: Conditions,
}

/// What is the same for all scalers, and how ours is set.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// From a launch until the runner manager takes jobs. 90 s: EC2 shows Linux instances as running after 10 to 30 s, and an
    /// image with its tools in it needs about a minute more to boot and to begin its runner.
    pub boot: Millis,
    /// The target of the rival that tracks CPU, in percent: 60, between AWS's examples (40 to 50) and what wastes less.
    pub cpu_target: u32,
    /// Draws which runner manager gets a job; the first world's seed.
    pub seed: u64,
    /// Our scaler's settings, of which the rivals have limits and slots.
    pub settings: Settings,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            boot: Millis::secs(90),
            cpu_target: 60,
            seed: 8,
            settings: Settings { maximum: 100, ..Settings::default() },
        }
    }
}

/// A command line that cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum BadArguments {
    /// It is none.
    #[error(
        "{0}; the options are --trace FILE, --tag TAG, --out FILE, --print NAME, --worlds N, --boot SECONDS, --slots N, --min N, --max N, \
         --utilisation PERCENT, --headroom SLOTS, --grow-step N, --shrink-step N, --idle-scrapes N, --stabilisation SECONDS, --cpu-target PERCENT, \
         --seed N"
    )]
    Line(#[from] lexopt::Error),
    /// No number.
    #[error("{0} must be a whole number from {1} to {2}; it is {3:?}")]
    Number(String, i64, i64, String),
    /// A setting that no pool can be sized with.
    #[error("{0}")]
    Setting(#[from] BadSetting),
}

impl Arguments {
    /// Reads the command line.
    ///
    /// # Errors
    /// The first argument that cannot be followed.
    pub fn read(mut parser: Parser) -> Result<Self, BadArguments> {
        let mut arguments =
            Self { trace: None, tag: None, out: None, print: None, worlds: None, conditions: Conditions::default() };
        while let Some(argument) = parser.next()? {
            let name = match argument {
                Arg::Long(name) => name.to_owned(),
                other => return Err(other.unexpected().into()),
            };
            match name.as_str() {
                "trace" => arguments.trace = Some(PathBuf::from(parser.value()?)),
                "tag" => arguments.tag = Some(parser.value()?.string()?),
                "out" => arguments.out = Some(PathBuf::from(parser.value()?)),
                "print" => arguments.print = Some(parser.value()?.string()?),
                "worlds" => arguments.worlds = Some(number(&name, 1, 1_000_000, &mut parser)?.unsigned_abs()),
                _ => arguments.conditions.set(&name, &mut parser)?,
            }
        }
        arguments.conditions.settings = arguments.conditions.settings.checked()?;
        Ok(arguments)
    }
}

impl Conditions {
    fn set(&mut self, name: &str, parser: &mut Parser) -> Result<(), BadArguments> {
        let settings = &mut self.settings;
        let count = match name {
            "slots" => &mut settings.slots_per_member,
            "min" => &mut settings.minimum,
            "max" => &mut settings.maximum,
            "utilisation" => &mut settings.target_utilisation,
            "headroom" => &mut settings.headroom_slots,
            "grow-step" => &mut settings.grow_step,
            "shrink-step" => &mut settings.shrink_step,
            "idle-scrapes" => &mut settings.idle_scrapes,
            "cpu-target" => {
                self.cpu_target = number(name, 1, 100, parser)?.try_into().unwrap_or(100);
                return Ok(());
            }
            "boot" => {
                self.boot = Millis::secs(number(name, 0, 3600, parser)?);
                return Ok(());
            }
            "stabilisation" => {
                settings.stabilisation = Millis::secs(number(name, 0, 7200, parser)?);
                return Ok(());
            }
            "seed" => {
                self.seed = number(name, 0, i64::MAX, parser)?.unsigned_abs();
                return Ok(());
            }
            other => return Err(Arg::Long(other).unexpected().into()),
        };
        *count = number(name, 0, 1_000_000, parser)?.try_into().unwrap_or(u32::MAX);
        Ok(())
    }
}

fn number(name: &str, least: i64, most: i64, parser: &mut Parser) -> Result<i64, BadArguments> {
    let text = parser.value()?.string()?;
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let number = parsed.ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| BadArguments::Number(format!("--{name}"), least, most, text))
}
