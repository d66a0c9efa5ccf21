//! SIGTERM: Lambda's, when extensions are registered, and the local stack's at a timeout and at its end. A job that runs
//! is ended with a report; an idle process leaves at once.

use std::future::{Future, pending};
use std::sync::OnceLock;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The process's own end, as it is announced.
#[derive(Debug, Default)]
pub(crate) struct Termination(OnceLock<watch::Sender<bool>>);

impl Termination {
    /// Ends when the process is told to end. While somebody waits for it, the process does not leave by itself.
    ///
    /// To be called inside the runtime. Where the signal cannot be watched the system's own rule stays: the process ends.
    pub(crate) fn told(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut told = self.0.get_or_init(watch_signal).subscribe();
        async move {
            if told.wait_for(|told| *told).await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// Whether the process was told to end.
    pub(crate) fn was_told(&self) -> bool {
        self.0.get().is_some_and(|told| *told.borrow())
    }
}

fn watch_signal() -> watch::Sender<bool> {
    let (sender, _) = watch::channel(false);
    match signal(SignalKind::terminate()) {
        Ok(terminate) => drop(tokio::spawn(hand_on(terminate, sender.clone()))),
        Err(error) => {
            tracing::warn!(target: "runnerless", service = "executor", error = %error, "SIGTERM cannot be watched")
        }
    }
    sender
}

async fn hand_on(mut terminate: Signal, sender: watch::Sender<bool>) {
    while terminate.recv().await.is_some() {
        if sender.receiver_count() == 0 {
            std::process::exit(0);
        }
        sender.send_replace(true);
    }
}
