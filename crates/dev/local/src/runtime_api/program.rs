//! The program of a function, and the surroundings that it is started in.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// A program to run as a function. Its environment has what Lambda sets, what is given here, and nothing else.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    name: String,
    prefix: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    memory_mb: u32,
    output: Option<File>,
}

impl Program {
    /// The program at `path`; its file's name is the function's.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().map_or_else(|| "function".into(), |name| name.to_string_lossy().into_owned());
        Self { path, name, prefix: Vec::new(), environment: Vec::new(), memory_mb: 256, output: None }
    }

    /// Sets a variable; it wins over what Lambda would set.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts the program by this command, such as `setpriv --reuid 65534 --`. It must become the program and not stay
    /// its parent: the process that is started is the one that is killed in the end.
    #[must_use]
    pub fn prefix(mut self, command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.prefix = command.into_iter().map(Into::into).collect();
        self
    }

    /// What Lambda says the function's memory is, in MB. Nothing is limited by it.
    #[must_use]
    pub fn memory_mb(mut self, memory_mb: u32) -> Self {
        self.memory_mb = memory_mb;
        self
    }

    /// Where standard output and error go; nowhere by default.
    #[must_use]
    pub fn output(mut self, file: File) -> Self {
        self.output = Some(file);
        self
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn arn(&self) -> String {
        format!("arn:aws:lambda:us-east-1:000000000000:function:{}", self.name)
    }

    pub(super) fn command(&self, api: SocketAddr) -> Command {
        let mut words = self.prefix.iter().map(OsString::as_os_str).chain([self.path.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_else(|| OsStr::new("")));
        command.args(words).env_clear().kill_on_drop(true).stdin(Stdio::null());
        command.env("AWS_LAMBDA_RUNTIME_API", api.to_string());
        for (name, value) in self.of_lambda() {
            command.env(name, value);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(self.stdio()).stderr(self.stdio());
        command
    }

    /// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>, as far as runtimes and SDKs look.
    fn of_lambda(&self) -> [(&'static str, String); 9] {
        [
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", self.memory_mb.to_string()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "local".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("LANG", "en_US.UTF-8".to_owned()),
        ]
    }

    fn stdio(&self) -> Stdio {
        // A descriptor that cannot be doubled is no reason not to run: the output is for people.
        self.output.as_ref().and_then(|file| file.try_clone().ok()).map_or_else(Stdio::null, Stdio::from)
    }
}
