//! The `get_sources` stage: git over HTTP with the git command, as the job's variables ask for it.
//!
//! The job's token is in no command line, no remote URL and no `.git/config`: git reads it as a request header, scoped
//! to the repository's host, from a configuration file in the job's own temporary folder.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnerless_gitlab::protocol::{GitInfo, Proxy};
use url::Url;

use super::{Script, quote};
use crate::variables::Variables;

/// How the work tree comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// From nothing.
    Clone,
    /// On top of what an earlier job left.
    Fetch,
    /// Whatever is there.
    None,
    /// An empty folder.
    Empty,
}

/// Which submodules come along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submodules {
    None,
    Normal,
    Recursive,
}

/// The sources cannot be got as the job asks.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourcesError {
    #[error("GIT_SUBMODULE_STRATEGY is {0:?}; none, normal and recursive are understood")]
    UnknownSubmoduleStrategy(String),
    #[error("GIT_CLONE_PATH is not supported: the project folder is fixed; remove the variable")]
    ClonePath,
    #[error("the repository's URL cannot be read")]
    Url,
}

/// What to get, read from the job once.
#[derive(Debug)]
pub(crate) struct Sources {
    strategy: Strategy,
    checkout: bool,
    /// 0 for everything.
    depth: u64,
    refspecs: Vec<String>,
    sha: String,
    ref_name: String,
    object_format: String,
    /// `None` when cleaning is switched off.
    clean: Option<Vec<String>>,
    fetch_flags: Vec<String>,
    submodules: Submodules,
    submodule_depth: u64,
    submodule_flags: Vec<String>,
    submodule_paths: Vec<String>,
    skip_lfs: bool,
    /// Without user and password.
    remote: String,
    warnings: Vec<String>,
}

impl Sources {
    /// Reads the job's wishes. Values that are not understood are named in a warning and replaced by the default, but
    /// for an unknown submodule strategy, which fails as with the official runner.
    pub(crate) fn new(git: &GitInfo, allow_fetch: bool, vars: &Variables) -> Result<Self, SourcesError> {
        if vars.get("GIT_CLONE_PATH").is_some_and(|path| !path.is_empty()) {
            return Err(SourcesError::ClonePath);
        }
        let mut warnings = Vec::new();
        let strategy = strategy(allow_fetch, vars, &mut warnings);
        let depth = git.depth.and_then(|depth| u64::try_from(depth).ok()).unwrap_or(0);
        let words = |key: &str, default: &str| -> Vec<String> {
            let text = vars.get(key).filter(|text| !text.is_empty()).unwrap_or(default);
            text.split_whitespace().map(str::to_owned).collect()
        };
        let clean = words("GIT_CLEAN_FLAGS", "-ffdx");
        let submodule_depth = number(vars, "GIT_SUBMODULE_DEPTH", depth, &mut warnings);
        Ok(Self {
            strategy,
            checkout: vars.flag("GIT_CHECKOUT", true),
            depth,
            refspecs: git.refspecs.clone(),
            sha: git.sha.clone(),
            ref_name: git.ref_name.clone(),
            object_format: git.repo_object_format.clone(),
            clean: (clean != ["none"]).then_some(clean),
            fetch_flags: words("GIT_FETCH_EXTRA_FLAGS", "--prune --quiet"),
            submodules: submodules(vars)?,
            submodule_depth,
            submodule_flags: words("GIT_SUBMODULE_UPDATE_FLAGS", ""),
            submodule_paths: words("GIT_SUBMODULE_PATHS", ""),
            skip_lfs: vars.flag("GIT_LFS_SKIP_SMUDGE", false),
            remote: if matches!(strategy, Strategy::Clone | Strategy::Fetch) {
                without_user(&git.repo_url)?
            } else {
                String::new()
            },
            warnings,
        })
    }

    /// How the work tree comes to be.
    pub(crate) fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Writes the stage. `from_nothing` drops what is there, as the second attempt does.
    pub(crate) fn write(&self, script: &mut Script, place: &Place<'_>, hooks: &Hooks<'_>, from_nothing: bool) {
        for warning in &self.warnings {
            script.warn(warning);
        }
        let folder = quote(place.project);
        match self.strategy {
            Strategy::None => {
                script.announce("Skipping Git repository setup");
                script.line(&make(&folder));
                script.announce("Skipping Git checkout");
                script.announce("Skipping Git submodules setup");
            }
            Strategy::Empty => {
                script.announce("Skipping Git repository setup and creating an empty build directory");
                script.line(&format!("rm -rf {folder}\nmkdir -p {folder}"));
                script.announce("Skipping Git checkout");
                script.announce("Skipping Git submodules setup");
            }
            Strategy::Clone | Strategy::Fetch => {
                script.commands(hooks.before, hooks.sections);
                need_git(script);
                self.repository(script, place, from_nothing);
                self.check_out(script);
                self.write_submodules(script);
                script.commands(hooks.after, hooks.sections);
            }
        }
    }

    fn repository(&self, script: &mut Script, place: &Place<'_>, from_nothing: bool) {
        let folder = quote(place.project);
        script.line("export GIT_TERMINAL_PROMPT=0 GCM_INTERACTIVE=Never GIT_LFS_SKIP_SMUDGE=1");
        script.line(&format!("export HOME={}", quote(place.home)));
        if let Some(proxy) = place.proxy {
            script.line(&format!("export https_proxy={} no_proxy={}", quote(&proxy.url), quote(&proxy.bypass)));
        }
        match self.depth {
            0 => script.announce("Fetching changes..."),
            depth => script.announce(&format!("Fetching changes with git depth set to {depth}...")),
        }
        if from_nothing || self.strategy == Strategy::Clone {
            script.line(&format!("rm -rf {folder}"));
        }
        script.line(&format!("{}\ncd {folder}", make(&folder)));
        script.line(LEFTOVERS);
        let format = match self.object_format.as_str() {
            "" | "sha1" => String::new(),
            other => format!(" --object-format={}", quote(other)),
        };
        script.line(&format!("git init --template={format}"));
        let remote = quote(&self.remote);
        script.line(&format!("if git remote add origin {remote} 2>/dev/null; then"));
        script.announce("Created fresh repository.");
        script.line(&format!("else\ngit remote set-url origin {remote}\nfi"));
        self.fetch(script);
    }

    fn fetch(&self, script: &mut Script) {
        let refspecs: String = self.refspecs.iter().map(|spec| format!(" {}", quote(spec))).collect();
        let flags = joined(&self.fetch_flags);
        let fetch = format!("git fetch origin --no-recurse-submodules{refspecs}");
        match self.depth {
            0 => {
                script.line("runnerless_shallow=\nif [ -f .git/shallow ]; then runnerless_shallow=--unshallow; fi");
                script.line(&format!("{fetch} $runnerless_shallow{flags}"));
            }
            depth => script.line(&format!("{fetch} --depth {depth}{flags}")),
        }
    }

    fn check_out(&self, script: &mut Script) {
        if !self.checkout {
            return script.announce("Skipping Git checkout");
        }
        let short: String = self.sha.chars().take(8).collect();
        script.announce(&format!("Checking out {short} as detached HEAD (ref is {})...", self.ref_name));
        script.line(&format!("git -c submodule.recurse=false checkout -f -q --detach {}", quote(&self.sha)));
        if let Some(clean) = &self.clean {
            script.line(&format!("git clean{}", joined(clean)));
        }
        if !self.skip_lfs {
            script.line(&lfs_pull());
        }
    }

    fn write_submodules(&self, script: &mut Script) {
        let (recursive, how) = match self.submodules {
            Submodules::None => return script.announce("Skipping Git submodules setup"),
            Submodules::Normal => ("", ""),
            Submodules::Recursive => (" --recursive", " recursively"),
        };
        if !self.checkout {
            return script.announce("Skipping Git submodules setup: nothing is checked out");
        }
        let depth = if self.submodule_depth > 0 { format!(" --depth {}", self.submodule_depth) } else { String::new() };
        script.announce(&format!("Updating/initializing submodules{how}..."));
        let paths = if self.submodule_paths.is_empty() {
            String::new()
        } else {
            format!(" --{}", joined(&self.submodule_paths))
        };
        let clean =
            self.clean.as_ref().map_or_else(|| "true".to_owned(), |flags| format!("git clean{}", joined(flags)));
        let tidy = format!(
            "git submodule foreach --quiet{recursive} {}",
            quote(&format!("{clean} >/dev/null && git reset --hard --quiet"))
        );
        let update = format!("git submodule update --init{recursive}{depth}{}{paths}", joined(&self.submodule_flags));
        script.line(&format!("git submodule init{paths}\ngit submodule sync{recursive}{paths}\n{tidy}"));
        script.line(&format!("{update} || {{ git submodule sync{recursive}{paths}; {update}; }}\n{tidy}"));
        if !self.skip_lfs {
            script.line(&format!("git submodule foreach --quiet{recursive} {}", quote(&lfs_pull())));
        }
    }
}

/// Where the stage works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) project: &'a str,
    /// Where the configuration with the credentials is `.gitconfig`, whatever the job makes of `HOME`.
    pub(crate) home: &'a str,
    pub(crate) proxy: Option<&'a Proxy>,
}

/// The scripts around the stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hooks<'a> {
    pub(crate) before: &'a [String],
    pub(crate) after: &'a [String],
    pub(crate) sections: bool,
}

/// What an interrupted or malicious job may have left where git would trip over it or run it.
const LEFTOVERS: &str = "if [ -e .git ] || [ -L .git ]; then ( shopt -s globstar nullglob
rm -f .git/index.lock .git/shallow.lock .git/HEAD.lock .git/config.lock .git/config .git/refs/**/*.lock
rm -rf .git/hooks ); fi";

/// Ends the stage with the shell's own code for a missing command, and says which it is and where it was looked for. After
/// the hook, which may have brought it.
fn need_git(script: &mut Script) {
    script.line("if ! type git >/dev/null 2>&1; then");
    script.line(r#"printf -v runnerless_said 'there is no git in %s: the sources cannot be fetched' "$PATH""#);
    script.warn_of("runnerless_said");
    script.line("exit 127\nfi");
}

/// Makes a folder. Where it is there already, no process is started for it.
fn make(folder: &str) -> String {
    format!("[ -d {folder} ] || mkdir -p {folder}")
}

/// Fetches large files where git-lfs exists.
fn lfs_pull() -> String {
    "if git lfs version >/dev/null 2>&1; then GIT_LFS_SKIP_SMUDGE=0 git lfs pull; fi".to_owned()
}

fn joined(words: &[String]) -> String {
    words.iter().map(|word| format!(" {}", quote(word))).collect()
}

fn strategy(allow_fetch: bool, vars: &Variables, warnings: &mut Vec<String>) -> Strategy {
    let default = if allow_fetch { Strategy::Fetch } else { Strategy::Clone };
    match vars.get("GIT_STRATEGY").unwrap_or_default() {
        "" => default,
        "clone" => Strategy::Clone,
        "fetch" => Strategy::Fetch,
        "none" => Strategy::None,
        "empty" => Strategy::Empty,
        other => {
            warnings.push(format!(
                "GIT_STRATEGY is {other:?}; clone, fetch, none and empty are understood, the project's setting is used"
            ));
            default
        }
    }
}

fn submodules(vars: &Variables) -> Result<Submodules, SourcesError> {
    match vars.get("GIT_SUBMODULE_STRATEGY").unwrap_or_default() {
        "" | "none" => Ok(Submodules::None),
        "normal" => Ok(Submodules::Normal),
        "recursive" => Ok(Submodules::Recursive),
        other => Err(SourcesError::UnknownSubmoduleStrategy(other.to_owned())),
    }
}

fn number(vars: &Variables, key: &str, default: u64, warnings: &mut Vec<String>) -> u64 {
    match vars.get(key).filter(|text| !text.is_empty()).map(str::parse) {
        None => default,
        Some(Ok(number)) => number,
        Some(Err(_)) => {
            warnings.push(format!("{key} is not a number; {default} is used"));
            default
        }
    }
}

fn without_user(repo_url: &str) -> Result<String, SourcesError> {
    let mut url = Url::parse(repo_url).map_err(|_| SourcesError::Url)?;
    // Both fail only for URLs that cannot have a user, such as file:, which have none either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(url.into())
}

/// The text of the job's own git configuration file.
#[derive(Debug)]
pub(crate) struct GitConfig {
    text: String,
    /// The header's secret part, which must not be seen in the log.
    header: Option<String>,
}

impl GitConfig {
    /// For the repository at `repo_url`, whose user and password become a request header for its host.
    pub(crate) fn new(repo_url: &str, vars: &Variables, ca_file: Option<&str>, user_agent: &str) -> Self {
        let mut text = format!(
            "[init]\n\tdefaultBranch = none\n[fetch]\n\trecurseSubmodules = false\n[credential]\n\tinteractive = never\n\
             \thelper =\n[gc]\n\tautoDetach = false\n[maintenance]\n\tautoDetach = false\n[transfer]\n\tbundleURI = true\n\
             [http]\n\tuserAgent = {}\n",
            value(user_agent)
        );
        let Ok(url) = Url::parse(repo_url) else { return Self { text, header: None } };
        let host = url.origin().ascii_serialization();
        if !matches!(url.scheme(), "http" | "https") {
            return Self { text, header: None };
        }
        text.push_str(&format!("[http {}]\n", value(&host)));
        if let Some(ca_file) = ca_file {
            text.push_str(&format!("\tsslCAInfo = {}\n", value(ca_file)));
        }
        let header = url.password().map(|password| {
            let pair = format!("{}:{}", decoded(url.username()), decoded(password));
            STANDARD.encode(pair)
        });
        if let Some(header) = &header {
            text.push_str(&format!("\textraHeader = {}\n", value(&format!("Authorization: Basic {header}"))));
        }
        if vars.flag("GIT_SUBMODULE_FORCE_HTTPS", false)
            && let Some(name) = url.host_str()
        {
            let target = value(&format!("{host}/"));
            text.push_str(&format!(
                "[url {target}]\n\tinsteadOf = {}\n\tinsteadOf = {}\n",
                value(&format!("git@{name}:")),
                value(&format!("ssh://git@{name}/"))
            ));
        }
        Self { text, header }
    }

    /// The file's text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What must be masked because this file says it.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.header.as_deref()
    }
}

/// A quoted value of git's configuration format.
fn value(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// The text of a percent-encoded part of a URL; bytes that are no UTF-8 are kept encoded.
fn decoded(part: &str) -> String {
    let query = format!("x={}", part.replace('+', "%2B"));
    url::form_urlencoded::parse(query.as_bytes())
        .next()
        .map_or_else(|| part.to_owned(), |(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git() -> GitInfo {
        GitInfo {
            repo_url: "https://gitlab-ci-token:glcbt-66_t%2Bk@git.example.com:8443/acme/widget.git".to_owned(),
            ref_name: "main".to_owned(),
            sha: "0123456789abcdef".to_owned(),
            refspecs: vec!["+refs/heads/main:refs/remotes/origin/main".to_owned()],
            depth: Some(20),
            ..GitInfo::default()
        }
    }

    fn vars(entries: &[(&str, &str)]) -> Variables {
        let mut vars = Variables::default();
        for (key, value) in entries {
            vars.set(key, *value);
        }
        vars
    }

    fn text(git: &GitInfo, vars: &Variables) -> String {
        let place = Place { project: "/b/p", home: "/h", proxy: None };
        let hooks = Hooks { before: &["echo pre".to_owned()], after: &["echo post".to_owned()], sections: false };
        let mut script = Script::default();
        Sources::new(git, true, vars).unwrap().write(&mut script, &place, &hooks, false);
        script.body
    }

    #[test]
    fn the_token_is_in_no_command_and_no_remote() {
        let all = vars(&[("GIT_SUBMODULE_STRATEGY", "recursive"), ("GIT_STRATEGY", "clone")]);
        let text = text(&git(), &all);
        assert!(text.contains("https://git.example.com:8443/acme/widget.git"), "{text}");
        assert!(!text.contains("glcbt") && !text.contains("gitlab-ci-token"), "{text}");
    }

    #[test]
    fn the_configuration_scopes_the_token_to_the_host() {
        let config = GitConfig::new(&git().repo_url, &Variables::default(), Some("/ca.pem"), "x/1");
        let header = STANDARD.encode("gitlab-ci-token:glcbt-66_t+k");
        assert!(config.text().contains("[http \"https://git.example.com:8443\"]\n\tsslCAInfo = \"/ca.pem\"\n"));
        assert!(config.text().contains(&format!("extraHeader = \"Authorization: Basic {header}\"")));
        assert_eq!(config.secret(), Some(header.as_str()));
    }

    #[test]
    fn strategies_and_flags() {
        assert!(text(&git(), &vars(&[])).contains("--depth 20 --prune --quiet\n"));
        assert!(!text(&git(), &vars(&[])).contains("rm -rf /b/p\n"));
        assert!(text(&git(), &vars(&[("GIT_STRATEGY", "clone")])).contains("rm -rf /b/p\n"));
        assert!(text(&git(), &vars(&[("GIT_CLEAN_FLAGS", "-ffdx -e keep/")])).contains("git clean -ffdx -e keep/\n"));
        assert!(!text(&git(), &vars(&[("GIT_CLEAN_FLAGS", "none")])).contains("git clean"));
        assert!(!text(&git(), &vars(&[("GIT_CHECKOUT", "false")])).contains("checkout -f"));
        assert!(text(&git(), &vars(&[("GIT_STRATEGY", "banana")])).contains("banana"));
        let none = text(&git(), &vars(&[("GIT_STRATEGY", "none")]));
        assert!(!none.contains("git ") && !none.contains("echo pre"), "{none}");
        let everything = GitInfo { depth: Some(0), ..git() };
        assert!(text(&everything, &vars(&[])).contains("--unshallow"));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let wrong = Sources::new(&git(), true, &vars(&[("GIT_SUBMODULE_STRATEGY", "sometimes")])).unwrap_err();
        assert_eq!(wrong, SourcesError::UnknownSubmoduleStrategy("sometimes".to_owned()));
        assert_eq!(
            Sources::new(&git(), true, &vars(&[("GIT_CLONE_PATH", "/x")])).unwrap_err(),
            SourcesError::ClonePath
        );
    }

    #[test]
    fn words_of_the_job_stay_words() {
        let git = GitInfo { refspecs: vec!["+a:b; rm -rf /".to_owned()], sha: "x y".to_owned(), ..git() };
        let text = text(&git, &vars(&[("GIT_FETCH_EXTRA_FLAGS", "--prune $(boom)")]));
        assert!(text.contains("$'+a:b; rm -rf /'") && text.contains("$'$(boom)'") && text.contains("$'x y'"), "{text}");
    }
}
