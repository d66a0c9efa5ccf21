//! EC2's instances in the local stack: the emulator has records of them, and this makes them run.
//!
//! The driver belongs to the supervisor, and whatever it starts ends with it. It looks at the emulator's instances: each
//! that is on and was made by a fleet from a launch template with user data gets a metadata service of its own and runs
//! the user data, confined (see [`confine`]). Power-off terminates or stops the instance, as its launch template says; an
//! instance that somebody terminates loses all its processes at once. What EC2 does besides and the emulator does not:
//! volumes go with their instance.

pub mod confine;
mod driver;
mod ec2;
mod metadata;
pub mod register;
mod role;
mod xml;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::layout::Layout;
use driver::Driver;
pub use ec2::Ec2Error;
pub(crate) use ec2::{Ec2, Record};
use register::Register;
pub(crate) use xml::Element;

/// The tag that Auto Scaling puts on its members, with their group's name.
pub(crate) const GROUP_TAG: &str = "aws:autoscaling:groupName";

/// The address of a group's member: one of loopback's sixteen million, made of the instance's id. All instances share the
/// machine's network, and each member has a service on the same port.
pub(crate) fn address_of_member(instance: &str) -> String {
    let digest = Sha256::digest(instance);
    // 127.0.x.y is where everything else of the machine listens, and a network's first and last address is nobody's.
    format!("127.{}.{}.{}", digest[0] % 254 + 1, digest[1], digest[2] % 254 + 1)
}

/// Longer than all guards together need in the worst case.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the driver works with.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The emulator's address.
    pub(crate) emulator: String,
    /// The witness's.
    pub(crate) witness: String,
    /// Where everything is.
    pub(crate) layout: Layout,
    /// This very command, for guards.
    pub(crate) program: PathBuf,
    /// Where `unshare` and the like are.
    pub(crate) search_path: String,
    /// What the witness tells.
    pub(crate) register: Arc<Register>,
}

/// The running driver. Its instances end when this is dropped, at the latest when this process ends.
#[derive(Debug)]
pub(crate) struct Instances {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Instances {
    /// Begins to look.
    pub(crate) fn start(plan: Plan) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(Driver::new(plan).run(stopped)) }
    }

    /// Ends every instance's processes and waits until they are gone.
    pub(crate) async fn end(self) {
        let _ = self.stop.send(());
        // What takes longer is ended with everything else below the supervisor.
        let _ = tokio::time::timeout(PATIENCE, self.task).await;
    }
}
