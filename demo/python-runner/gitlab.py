"""GitLab's runner protocol, as far as one simple job needs it."""

import json
import time
import urllib.error
import urllib.request
import zlib

TIMEOUT_S = 10
# A 201 that is cut off costs its job two minutes.
ASK_TIMEOUT_S = 30
FINAL_TRIES = 10
# The states of a job that is over, as GitLab's `Job-Status` names them.
OVER = ("success", "failed", "canceled")
# What this runner can do. GitLab does not hand out jobs that need more.
FEATURES = {
    "variables": True,
    "refspecs": True,
    "masking": True,
    "raw_variables": True,
    "return_exit_code": True,
    "trace_checksum": True,
    "trace_size": True,
    "two_phase_job_commit": True,
}


class Refused(Exception):
    """GitLab does not take it: the job is not ours, or over."""


class GitLab:
    def __init__(self, url, token, system_id):
        self.api = url.rstrip("/") + "/api/v4"
        self.token = token
        self.system_id = system_id
        self.info = {
            "name": "runnerless-python-example", "version": "1.0.0", "platform": "linux", "executor": "shell",
            "shell": "bash", "features": FEATURES,
        }

    def request_job(self):
        """One ask, and no hidden second one: the answer that got lost may have been a job."""
        body = {"token": self.token, "system_id": self.system_id, "info": self.info}
        status, _, text = self.send("POST", "/jobs/request", {"RUNNER-TOKEN": self.token}, body, ASK_TIMEOUT_S)
        if status == 201:
            return json.loads(text)
        if status in (204, 409, 429) or status >= 500:
            return None
        raise Refused(f"jobs/request: {status}")

    def accept(self, job, left):
        """True when it is accepted, False when it may be tried again; `left` is how long one try may take."""
        status, answered, _ = self.put(job, {"state": "running"}, left)
        if status == 429 or status >= 500:
            return False
        if status not in (200, 202) or answered.get("Job-Status") in OVER:
            raise Refused(f"acceptance: {status}")
        return True

    def give_back(self, job, left):
        """Refused while the job is only offered, which leaves it pending; it fails where GitLab started it already.

        True when GitLab has said its last word about it.
        """
        status, _, _ = self.put(job, {"state": "failed", "failure_reason": "runner_system_failure"}, left)
        return status != 429 and status < 500

    def append(self, job, log, sent):
        """Sends what is new of the log. Returns how much GitLab has, and whether the job goes on."""
        if sent >= len(log):
            return sent, True
        headers = {
            "JOB-TOKEN": job["token"], "Content-Type": "text/plain", "Content-Range": f"{sent}-{len(log) - 1}",
        }
        status, answered, _ = self.send("PATCH", f"/jobs/{job['id']}/trace", headers, bytes(log[sent:]))
        if status == 202:
            return len(log), answered.get("Job-Status") not in ("canceled", "failed")
        if status == 416:
            return int(answered.get("Range", "0-0").split("-")[1]), True
        return sent, status not in (403, 404)

    def finish(self, job, log, state, exit_code=0, reason=None):
        body = {
            "state": state,
            "exit_code": exit_code,
            "output": {"checksum": f"crc32:{zlib.crc32(log):08x}", "bytesize": len(log)},
        }
        if reason:
            body["failure_reason"] = reason
        for attempt in range(FINAL_TRIES):
            status, _, _ = self.put(job, body)
            # 202: GitLab still stores the log. 403: it knows the end already.
            if status in (200, 403, 404):
                return
            time.sleep(min(2**attempt / 4, 5))
        raise Refused(f"the end of job {job['id']} could not be reported: {status}")

    def put(self, job, body, timeout=TIMEOUT_S):
        body = {"token": job["token"], "info": self.info, **body}
        return self.send("PUT", f"/jobs/{job['id']}", {"JOB-TOKEN": job["token"]}, body, min(timeout, TIMEOUT_S))

    def send(self, method, path, headers, body, timeout=TIMEOUT_S):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.api + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()
        except OSError:
            # As a server that is busy: what may be repeated is repeated.
            return 599, {}, b""
