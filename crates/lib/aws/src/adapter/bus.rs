//! EventBridge.

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

use super::failure::failure;
use crate::error::{AwsError, Service};
use crate::place::{Credentials, Place};
use crate::ports::{Announcement, Bus};

/// The stack's event bus.
#[derive(Clone, Debug)]
pub struct EventBus {
    client: Client,
    name: String,
}

impl EventBus {
    /// The bus of this name.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials, name: impl Into<String>) -> Self {
        Self { client: crate::client!(aws_sdk_eventbridge, place, credentials), name: name.into() }
    }
}

impl Bus for EventBus {
    async fn announce(&self, announcement: Announcement) -> Result<(), AwsError> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(Announcement::SOURCE)
            .detail_type(announcement.detail_type())
            .detail(announcement.detail())
            .build();
        let answer = self.client.put_events().entries(entry).send().await;
        let answer = answer.map_err(|error| failure(Service::Bus, "PutEvents", error))?;
        match answer.entries.unwrap_or_default().into_iter().find(|entry| entry.error_code.is_some()) {
            None if answer.failed_entry_count == 0 => Ok(()),
            refused => Err(AwsError::Unavailable {
                service: Service::Bus,
                operation: "PutEvents",
                source: refused
                    .and_then(|entry| entry.error_code)
                    .unwrap_or_else(|| "an entry failed".to_owned())
                    .into(),
            }),
        }
    }
}
