//! The event bus in memory.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::{failed, locked};
use crate::error::{AwsError, Service};
use crate::ports::{Announcement, Bus};

/// A bus that remembers.
#[derive(Debug, Default)]
pub struct FakeBus {
    announced: Mutex<Vec<Announcement>>,
    failing: Mutex<bool>,
}

impl FakeBus {
    /// What was announced, in order.
    #[must_use]
    pub fn announced(&self) -> Vec<Announcement> {
        locked(&self.announced).clone()
    }

    /// An announcement as rules and targets see it.
    #[must_use]
    pub fn event(announcement: &Announcement) -> Value {
        let detail: Value = serde_json::from_str(&announcement.detail()).unwrap_or_default();
        json!({"source": Announcement::SOURCE, "detail-type": announcement.detail_type(), "detail": detail})
    }

    /// From now on every call fails, or no call does.
    pub fn fail(&self, failing: bool) {
        *locked(&self.failing) = failing;
    }
}

impl Bus for FakeBus {
    async fn announce(&self, announcement: Announcement) -> Result<(), AwsError> {
        if *locked(&self.failing) {
            return Err(failed(Service::Bus, "PutEvents"));
        }
        locked(&self.announced).push(announcement);
        Ok(())
    }
}
