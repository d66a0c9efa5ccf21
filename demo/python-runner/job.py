"""One job: its checkout, its scripts, its log."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

SEND_EVERY_S = 1.0
AFTER_SCRIPT_S = 300
ESCAPE = "\x1b"


class Stopped(Exception):
    """GitLab ended the job."""


class Lost(Exception):
    """The launch was declared lost or stopped."""


class Job:
    def __init__(self, payload, gitlab, seconds, lost):
        self.payload = payload
        self.gitlab = gitlab
        # An event that stops the job.
        self.lost = lost
        self.deadline = time.monotonic() + seconds
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="job-"))
        self.variables = {item["key"]: item for item in payload.get("variables") or []}
        self.log = Log(payload, gitlab, [item.get("value") for item in self.variables.values() if item.get("masked")])

    def run(self):
        """`done`, or `lost` when the job was stopped because its launch was."""
        try:
            state, code, reason = self.stages()
            self.log.close()
            self.gitlab.finish(self.payload, self.log.sent_bytes(), state, code, reason)
        except Stopped:
            self.log.close()
        except Lost:
            self.fail("its launch was declared lost")
            return "lost"
        except Exception as error:
            # Accepted is accepted: GitLab hears of it, or shows the job as running for an hour.
            self.fail(type(error).__name__)
            raise
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
        return "done"

    def fail(self, why):
        self.log.line(f"ERROR: Job failed (system failure): {why}")
        self.log.close()
        self.gitlab.finish(self.payload, self.log.sent_bytes(), "failed", reason="runner_system_failure")

    def stages(self):
        self.log.line(f"a Python function took this job, with {self.deadline - time.monotonic():.0f} s for it")
        project = self.root / "builds" / self.value("CI_PROJECT_PATH", "project")
        project.mkdir(parents=True)
        env = self.environment(project)
        if self.bash("get_sources", self.checkout(), project, env, self.deadline) != 0:
            return "failed", 0, "runner_system_failure"
        code = 0
        for step in self.steps(lambda name: name != "after_script"):
            code = self.bash(f"step_{step['name']}", step["script"], project, env, self.deadline)
            if code != 0:
                break
        timed_out = code is None
        env["CI_JOB_STATUS"] = "success" if code == 0 else "failed"
        for step in self.steps(lambda name: name == "after_script") if not timed_out else []:
            until = min(self.deadline, time.monotonic() + AFTER_SCRIPT_S)
            self.bash("after_script", step["script"], project, env, until)
        if timed_out:
            self.log.line("ERROR: Job failed: its time is up")
            return "failed", 0, "job_execution_timeout"
        if code != 0:
            self.log.line(f"ERROR: Job failed: exit status {code}")
            return "failed", code, "script_failure"
        self.log.line("Job succeeded")
        return "success", 0, None

    def steps(self, wanted):
        return [step for step in self.payload.get("steps") or [] if wanted(step["name"])]

    def value(self, key, default=""):
        return self.variables.get(key, {}).get("value") or default

    def environment(self, project):
        """The job's variables and nothing of ours: no credential of the function's role is in it."""
        home = self.root / "home"
        home.mkdir()
        env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(self.root), "LANG": "C.UTF-8", "CI": "true",
            "CI_SERVER": "yes", "CI_PROJECT_DIR": str(project), "CI_BUILDS_DIR": str(self.root / "builds"),
            "CI_JOB_STATUS": "running", "GIT_TERMINAL_PROMPT": "0",
        }
        for key, item in self.variables.items():
            value = item.get("value") or ""
            if item.get("file"):
                path = self.root / "files" / key
                path.parent.mkdir(exist_ok=True)
                path.write_text(value)
                value = str(path)
            env[key] = value
        plain = {key for key, item in self.variables.items() if not item.get("raw") and not item.get("file")}
        return env | {key: expand(env[key], env) for key in plain}

    def checkout(self):
        git = self.payload["git_info"]
        depth = f"--depth {int(git['depth'])}" if git.get("depth") else ""
        refspecs = " ".join(quote(refspec) for refspec in git.get("refspecs") or [git["sha"]])
        return [
            "git init --quiet .",
            f"git fetch --quiet --no-tags {depth} {quote(git['repo_url'])} {refspecs}",
            f"git -c advice.detachedHead=false checkout --quiet --force {quote(git['sha'])}",
        ]

    def bash(self, section, lines, folder, env, until):
        """The exit code; None when the time was up."""
        self.log.section(section, "start")
        shown = section.startswith(("step_", "after_"))
        script = ["set -eo pipefail"]
        for line in lines:
            if shown:
                script.append(f"printf '%s\\n' {quote(f'{ESCAPE}[32;1m$ {line}{ESCAPE}[0;m')}")
            script.append(line)
        process = subprocess.Popen(
            ["bash", "-c", "\n".join(script)], cwd=folder, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        reader = threading.Thread(target=self.log.read, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                if self.lost.is_set():
                    raise Lost
                self.log.send()
                try:
                    process.wait(max(0.0, min(SEND_EVERY_S, until - time.monotonic())))
                except subprocess.TimeoutExpired:
                    if time.monotonic() >= until:
                        return None
            return process.returncode if process.returncode >= 0 else 128 - process.returncode
        finally:
            # What the script left running ends with it.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            reader.join(5)
            if not reader.is_alive():
                process.stdout.close()
            self.log.section(section, "end")


class Log:
    """The job's log, masked before it is kept: what is sent can be sent again, and its checksum is known."""

    def __init__(self, payload, gitlab, secrets):
        self.payload = payload
        self.gitlab = gitlab
        self.secrets = sorted({secret.strip() for secret in secrets if secret and secret.strip()}, key=len, reverse=True)
        self.secrets.append(payload["token"])
        self.bytes = bytearray()
        self.sent = 0
        self.lock = threading.Lock()

    def line(self, text):
        self.add(f"{text}\n".encode())

    def section(self, name, edge):
        title = f'{ESCAPE}[36;1mExecuting "{name}"{ESCAPE}[0;m\n' if edge == "start" else ""
        self.add(f"section_{edge}:{int(time.time())}:{name}\r{ESCAPE}[0K{title}".encode())

    def read(self, stream):
        # By lines, so that a secret is never cut in two; one over several lines is not found.
        for line in stream:
            self.add(line)

    def add(self, raw):
        text = raw.decode(errors="replace")
        for secret in self.secrets:
            text = text.replace(secret, "[MASKED]")
        with self.lock:
            self.bytes += text.encode()

    def send(self):
        """Raises Stopped when the job is over for GitLab."""
        with self.lock:
            log = bytes(self.bytes)
        self.sent, goes_on = self.gitlab.append(self.payload, log, self.sent)
        if not goes_on:
            raise Stopped

    def close(self, tries=10):
        for attempt in range(tries):
            try:
                self.send()
            except Stopped:
                return
            if self.sent == len(self.bytes):
                return
            time.sleep(min(2**attempt / 4, 5))

    def sent_bytes(self):
        return bytes(self.bytes[: self.sent])


def expand(value, env):
    """One pass over $NAME and ${NAME}, as GitLab's runner does it; `$$` is a dollar."""

    def known(found):
        name = found[1] or found[2]
        return env.get(name, "") if name else "$"

    return re.sub(r"\$(?:\$|\{(\w+)\}|(\w+))", known, value)


def quote(text):
    return "'" + text.replace("'", "'\\''") + "'"
