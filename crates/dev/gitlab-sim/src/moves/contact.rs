//! A machine of a runner calls: its manager row and the runner's times.

use serde_json::{Map, Value};

use crate::world::World;
use crate::world::runner::Manager;
use crate::world::settings::millis;

/// The name of a machine that does not say its own.
pub(crate) const LEGACY: &str = "<legacy>";

impl World {
    /// Notes a call of a machine.
    ///
    /// As in Rails, the features are written when the manager is new and then at most every 40 minutes: a machine that
    /// first calls without features is believed to have none until then (contract, section 2, `runners/verify`).
    pub(crate) fn contact(&mut self, runner: u64, system_id: Option<&str>, info: Option<&Map<String, Value>>) {
        let now = self.now;
        let stale = millis(self.settings.features_s);
        let Some(row) = self.runners.get_mut(&runner) else { return };
        row.contacted_at = Some(now);
        let name = system_id.unwrap_or(LEGACY);
        let manager = row.managers.entry(name.to_owned()).or_insert_with(|| {
            self.ids.manager += 1;
            Manager {
                id: self.ids.manager,
                system_id: name.to_owned(),
                info: Map::new(),
                features: Map::new(),
                features_at: 0,
                created_at: now,
                contacted_at: now,
            }
        });
        manager.contacted_at = now;
        let Some(info) = info else { return };
        manager.info = info.iter().filter(|(key, _)| *key != "features").map(|(k, v)| (k.clone(), v.clone())).collect();
        if manager.features_at == 0 || now.saturating_sub(manager.features_at) >= stale {
            manager.features = info.get("features").and_then(Value::as_object).cloned().unwrap_or_default();
            manager.features_at = now;
        }
    }

    /// A wrong shape of system id: refused when GitLab refuses it, else only noted.
    pub(crate) fn check_system_id(&mut self, runner: u64, system_id: &str) -> Result<(), &'static str> {
        if system_id.is_empty() || system_id.chars().count() > 64 {
            return Err("system_id must have 1 to 64 characters");
        }
        if !is_official(system_id) {
            self.violation(
                "system_id",
                None,
                format!("runner {runner} calls itself {system_id:?}, not [sr]_ and 12 letters or digits"),
            );
        }
        Ok(())
    }
}

/// `^[sr]_[0-9a-zA-Z]{12}$`.
fn is_official(system_id: &str) -> bool {
    let rest = system_id.strip_prefix("s_").or_else(|| system_id.strip_prefix("r_"));
    rest.is_some_and(|rest| rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
