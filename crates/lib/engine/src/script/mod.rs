//! Bash text for a stage: what the shell executor of GitLab Runner would have its shell do, written by us.
//!
//! Every stage is one fresh login shell that gets its text on standard input. The body runs with standard input closed
//! off, so that no command can eat the rest of the script, and through `eval`, so that a syntax error in the tenth line
//! does not keep the first nine from running. Nothing follows it: the shell's exit code is the body's own, whatever the
//! body makes of the shell's options and functions.

mod quote;
mod sources;

use std::fmt::Write as _;

pub(crate) use quote::quote;
pub(crate) use sources::{GitConfig, Hooks, Place, Sources, SourcesError, Strategy};

use crate::variables::{Variables, is_shell_name};

const GREEN: &str = "\x1b[32;1m";
const YELLOW: &str = "\x1b[0;33m";
const CLEAR_LINE: &str = "\x1b[0K";
const RESET: &str = "\x1b[0;m";

/// The text of one stage while it is put together.
#[derive(Debug, Default)]
pub(crate) struct Script {
    body: String,
}

impl Script {
    /// A script that first exports the job's variables and what earlier stages wrote to `$GITLAB_ENV`.
    pub(crate) fn with_environment(variables: &Variables, path_of: impl Fn(&str) -> String, env_file: &str) -> Self {
        let mut script = Self::default();
        for variable in variables.winners() {
            let key = &variable.key;
            if !is_shell_name(key) {
                script.warn(&format!("variable {key:?} cannot be exported: the shell has no such names"));
                continue;
            }
            let value = if variable.file { path_of(key) } else { variable.value.clone() };
            script.line(&format!("export {key}={}", quote(&value)));
        }
        script.line(&format!("export GITLAB_ENV={}", quote(env_file)));
        script.load_env_file();
        if variables.flag("CI_DEBUG_TRACE", false) {
            script.line("set -o xtrace");
        }
        script
    }

    /// Exports each `KEY=VALUE` line of `$GITLAB_ENV`.
    fn load_env_file(&mut self) {
        self.line(
            r#"if [ -f "$GITLAB_ENV" ]; then
while IFS= read -r runnerless_line || [ -n "$runnerless_line" ]; do
case "$runnerless_line" in ?*=*) export "$runnerless_line" ;; esac
done < "$GITLAB_ENV"
unset runnerless_line
fi"#,
        );
    }

    /// One line (or several) of shell.
    pub(crate) fn line(&mut self, line: &str) {
        self.body.push_str(line);
        self.body.push('\n');
    }

    /// Prints a green line.
    pub(crate) fn announce(&mut self, text: &str) {
        self.print(&format!("{GREEN}{text}{RESET}"));
    }

    /// Prints a yellow line.
    pub(crate) fn warn(&mut self, text: &str) {
        self.print(&format!("{YELLOW}WARNING: {text}{RESET}"));
    }

    /// Prints what a variable of the shell holds in a yellow line.
    pub(crate) fn warn_of(&mut self, variable: &str) {
        self.line(&format!(
            "printf '%s%s%s\\n' {} \"${variable}\" {}",
            quote(&format!("{YELLOW}WARNING: ")),
            quote(RESET)
        ));
    }

    fn print(&mut self, text: &str) {
        self.line(&format!("printf '%s\\n' {}", quote(text)));
    }

    /// The user's lines, each shown before it runs. With `sections` (`FF_SCRIPT_SECTIONS`) a command of several lines is
    /// shown whole in a collapsed section, else by its first line.
    pub(crate) fn commands(&mut self, lines: &[String], sections: bool) {
        for (index, command) in lines.iter().enumerate() {
            let command = command.trim_end_matches(['\r', '\n', ' ', '\t']);
            match command.trim_start().split_once('\n') {
                _ if command.trim().is_empty() => self.print(""),
                Some(_) if sections => {
                    self.section(index, command);
                    continue;
                }
                Some((first, _)) => self.announce(&format!("$ {} # collapsed multi-line command", first.trim_end())),
                None => self.announce(&format!("$ {command}")),
            }
            self.line(command);
        }
    }

    fn section(&mut self, index: usize, command: &str) {
        let name = format!("section_script_step_{index}");
        let mark = |kind: &str, options: &str, rest: &str| {
            let end = quote(&format!("{name}{options}\r{CLEAR_LINE}{rest}"));
            format!("printf '%s:%(%s)T:%s\\n' {kind} -1 {end}")
        };
        let shown = format!("{GREEN}$ {command}{RESET}");
        self.line(&mark("section_start", "[hide_duration=true,collapsed=true]", &shown));
        self.line(command);
        self.line(&mark("section_end", "", ""));
    }

    /// The whole text for the shell.
    ///
    /// The trap turns the SIGTERM of a cancel into an exit: without it the shell would wait for its child and go on.
    pub(crate) fn finish(&self) -> String {
        let mut text = String::with_capacity(self.body.len() + 256);
        text.push_str("trap 'exit 1' TERM\nset -o pipefail\nset -o errexit\nset +o noclobber\n");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{{ eval {}; }} < /dev/null", quote(&self.body));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Output, Stdio};

    use runnerless_gitlab::protocol::Variable;

    fn run(script: &Script) -> Output {
        let mut shell = Command::new("bash")
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(script.finish().as_bytes()).unwrap();
        shell.wait_with_output().unwrap()
    }

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    fn out(output: &Output) -> String {
        String::from_utf8(output.stdout.clone()).unwrap().replace(GREEN, "").replace(RESET, "")
    }

    #[test]
    fn commands_are_shown_and_stop_at_the_first_failure() {
        let mut script = Script::default();
        script.commands(&lines(&["echo first", "sh -c 'exit 42'", "echo never"]), false);
        let output = run(&script);
        assert_eq!(out(&output), "$ echo first\nfirst\n$ sh -c 'exit 42'\n");
        assert_eq!(output.status.code(), Some(42));
    }

    #[test]
    fn several_lines_are_collapsed_and_empty_ones_kept() {
        let mut script = Script::default();
        script.commands(&lines(&["for i in 1 2; do\n  echo loop $i\ndone\n", "", "echo end"]), false);
        assert_eq!(
            out(&run(&script)),
            "$ for i in 1 2; do # collapsed multi-line command\nloop 1\nloop 2\n\n$ echo end\nend\n"
        );
    }

    #[test]
    fn script_sections_show_the_whole_command() {
        let mut script = Script::default();
        script.commands(&lines(&["echo a\necho b"]), true);
        let out = out(&run(&script));
        assert!(out.starts_with("section_start:1"), "{out:?}");
        assert!(out.contains(
            ":section_script_step_0[hide_duration=true,collapsed=true]\r\u{1b}[0K$ echo a\necho b\na\nb\nsection_end:"
        ));
    }

    #[test]
    fn a_syntax_error_does_not_keep_earlier_lines_from_running() {
        let mut script = Script::default();
        script.commands(&lines(&["echo first", "if then"]), false);
        let output = run(&script);
        assert!(out(&output).starts_with("$ echo first\nfirst\n"));
        assert_ne!(output.status.code(), Some(0));
    }

    #[test]
    fn a_failing_pipe_fails_and_standard_input_is_empty() {
        let mut script = Script::default();
        script.commands(&lines(&["cat; echo after", "false | true", "echo never"]), false);
        let output = run(&script);
        assert_eq!(out(&output), "$ cat; echo after\nafter\n$ false | true\n");
        assert_eq!(output.status.code(), Some(1));
    }

    #[test]
    fn the_last_status_counts_whatever_the_script_makes_of_the_shell() {
        for (script, code) in [
            (&["set +e", "false", "sh -c 'exit 7'"][..], 7),
            (&["set +e", "false", "true"], 0),
            (&["exit() { echo mine; }", "sh -c 'exit 7'"], 7),
            (&["trap 'echo bye' EXIT", "exit 7"], 7),
            (&["exec sh -c 'exit 7'"], 7),
            (&["exit"], 0),
        ] {
            let mut whole = Script::default();
            whole.commands(&lines(script), false);
            assert_eq!(run(&whole).status.code(), Some(code), "{script:?}");
        }
    }

    #[test]
    fn variables_are_exported_with_exactly_their_value() {
        let mut variables = Variables::default();
        variables.set("A", "it's $HOME\n`x` \\");
        variables.extend([Variable {
            key: "F".to_owned(),
            value: "content".to_owned(),
            file: true,
            ..Variable::default()
        }]);
        variables.set("NOT-A-NAME", "x");
        let mut script = Script::with_environment(&variables, |key| format!("/files/{key}"), "/nowhere/env");
        script.line("printf '%s|' \"$A\" \"$F\" \"$GITLAB_ENV\"");
        let out = out(&run(&script));
        assert!(out.ends_with("it's $HOME\n`x` \\|/files/F|/nowhere/env|"), "{out:?}");
        assert!(out.contains("NOT-A-NAME"), "says what it leaves out");
    }

    #[test]
    fn the_env_file_of_earlier_stages_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        std::fs::write(&file, "PASSED=on\nno assignment\nTEXT=a b=c $x\nLAST=1").unwrap();
        let mut script = Script::with_environment(&Variables::default(), |_| String::new(), file.to_str().unwrap());
        script.line("printf '%s|' \"$PASSED\" \"$TEXT\" \"$LAST\"");
        assert_eq!(out(&run(&script)), "on|a b=c $x|1|");
    }
}
