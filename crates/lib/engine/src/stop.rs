//! The wish of the host to end: SIGTERM by hand, the end of an instance, the operator.

use tokio::sync::watch;

/// Ends the run when told to.
#[derive(Debug)]
pub struct StopHandle(watch::Sender<bool>);

/// What the run listens to.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A handle and what it stops.
#[must_use]
pub fn stop_channel() -> (StopHandle, Stop) {
    let (sender, receiver) = watch::channel(false);
    (StopHandle(sender), Stop(receiver))
}

impl StopHandle {
    /// Asks the run to end, now: a running job is reported as failed by the system.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Whether the run was asked to end.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the run is asked to end; never if nobody can ask any more.
    pub async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
