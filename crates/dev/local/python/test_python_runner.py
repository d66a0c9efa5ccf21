"""The demo's Python runner between a `claim` function and a GitLab that do as they are told, on a clock that is set.

Run by tests/python_runner.rs, with the runner's folder as the argument.
"""

import io
import json
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.path.insert(0, sys.argv.pop(1))
# What AWS Lambda brings along. The claim function is all that the runner uses it for.
boto3, config = types.ModuleType("boto3"), types.ModuleType("botocore.config")
config.Config = dict
sys.modules.update({"boto3": boto3, "botocore": types.ModuleType("botocore"), "botocore.config": config})

import claim  # noqa: E402
import gitlab  # noqa: E402
import job  # noqa: E402
import runner  # noqa: E402

EVENT = {
    "v": 1, "launch": "l-1", "nonce": "n", "lane": "x", "gitlab_url": "http://gitlab.invalid",
    "claim_function": "arn:claim", "deadline_ms": 0, "wait_s": 20,
}
PAYLOAD = {
    "id": 7, "token": "job-token", "job_info": {"project_id": 3}, "variables": [], "runner_info": {"timeout": 600},
    "steps": [{"name": "script", "script": ["echo it runs"]}],
}
BEGUN = {"token": "glrt-x", "system_id": "r_1"}
OK, REFUSED, GONE = {"ok": True}, {"ok": False, "refused": "no"}, {"gone": True, "reason": "closed"}


class Clock:
    """Time that passes when somebody sleeps, and when a call takes as long as its case says."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class World:
    """The claim function and GitLab: answers by what is asked, the last one for ever; and what was asked, in order."""

    def __init__(self, clock):
        self.clock = clock
        self.asked = []
        self.took = {}
        self.answers = {
            "begin": [BEGUN], "bind": [OK], "give_back": [OK], "renew": [OK], "end": [OK],
            "request": [201], "running": [200], "failed": [200], "success": [200], "trace": [202],
        }

    def answer(self, what):
        self.asked.append((what, self.clock.now))
        self.clock.now += self.took.get(what, 0)
        answers = self.answers[what]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def invoke(self, FunctionName, Payload):
        order = json.loads(Payload)
        assert FunctionName == "arn:claim" and order["launch"] == "l-1" and order["nonce"] == "n", order
        answer = self.answer(order["do"])
        failed = {"FunctionError": "Unhandled"} if "errorType" in answer else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}

    def send(self, _gitlab, method, path, _headers, body, timeout=10):
        what = {"POST": "request", "PATCH": "trace"}.get(method) or body["state"]
        began = self.clock.now
        status = self.answer(what)
        assert self.clock.now - began <= timeout or what not in ("running", "failed"), "a try that is too long"
        if what == "trace":
            self.log = self.__dict__.get("log", b"") + body
        if what == "failed":
            self.reason = body["failure_reason"]
        return status, {}, json.dumps(PAYLOAD).encode() if status == 201 else b""

    def did(self, *wanted):
        return [what for what, _ in self.asked if what in wanted or not wanted]


class Case(unittest.TestCase):
    def setUp(self):
        self.clock = Clock()
        self.world = World(self.clock)
        boto3.client = lambda service, config: self.world
        for module in (runner, claim, gitlab):
            self.patch(module, "time", self.clock)
        self.patch(gitlab.GitLab, "send", lambda *args, **named: self.world.send(*args, **named))
        self.patch(job.Job, "checkout", lambda _job: ["true"])
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.patch(tempfile, "tempdir", folder.name)

    def patch(self, what, name, value):
        patch = mock.patch.object(what, name, value)
        patch.start()
        self.addCleanup(patch.stop)

    def handle(self, **changes):
        context = types.SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)
        return runner.handler({**EVENT, **changes}, context)["outcome"]

    def payload(self, **changes):
        patched = mock.patch.dict(PAYLOAD, changes)
        patched.start()
        self.addCleanup(patched.stop)


class Taking(Case):
    def test_a_job_is_bound_accepted_run_and_ended_in_this_order(self):
        self.assertEqual(self.handle(), "done")
        did = self.world.did("begin", "request", "bind", "running", "success", "failed", "end")
        self.assertEqual(did, ["begin", "request", "bind", "running", "success", "end"])
        self.assertIn(b"it runs", self.world.log)
        self.assertIn("renew", self.world.did(), "the first renewal records the acceptance")

    def test_a_refused_binding_is_given_back_and_nothing_runs(self):
        self.world.answers["bind"] = [REFUSED]
        self.world.answers["failed"] = [403]
        self.assertEqual(self.handle(), "gave_back")
        self.assertEqual(self.world.did(), ["begin", "request", "bind", "give_back", "failed"])
        self.assertEqual(self.world.reason, "runner_system_failure")

    def test_a_binding_without_an_answer_is_given_back(self):
        self.world.answers["bind"] = [OSError("no answer")]
        self.assertEqual(self.handle(), "gave_back")
        self.assertEqual(self.world.did(), ["begin", "request", "bind", "give_back", "failed"])

    def test_a_binding_after_thirty_seconds_is_given_back(self):
        for took, outcome in ((30, "done"), (31, "gave_back")):
            with self.subTest(took):
                self.payload(steps=[])
                self.world = World(self.clock)
                self.world.took["bind"] = took
                self.assertEqual(self.handle(), outcome)
                self.assertEqual("running" in self.world.did(), outcome == "done")

    def test_the_acceptance_is_tried_for_sixty_seconds_and_given_back_then(self):
        self.world.answers["running"] = [503]
        self.assertEqual(self.handle(), "gave_back")
        got = next(at for what, at in self.world.asked if what == "bind")
        tries = [at - got for what, at in self.world.asked if what == "running"]
        self.assertGreater(len(tries), 3)
        self.assertTrue(all(at < 60 for at in tries), tries)
        self.assertEqual(self.world.did("give_back", "failed"), ["give_back", "failed"])

    def test_an_acceptance_that_works_at_last_is_one(self):
        self.payload(steps=[])
        self.world.answers["running"] = [503, 599, 200]
        self.assertEqual(self.handle(), "done")

    def test_a_refused_acceptance_is_given_back_at_once(self):
        self.world.answers["running"] = [403]
        self.assertEqual(self.handle(), "gave_back")
        self.assertEqual(self.world.did("running", "give_back", "failed"), ["running", "give_back", "failed"])

    def test_ninety_seconds_after_the_offer_nothing_is_sent_about_it(self):
        self.world.answers.update(bind=[REFUSED], failed=[503])
        self.assertEqual(self.handle(), "gave_back")
        got = next(at for what, at in self.world.asked if what == "bind")
        tries = [at - got for what, at in self.world.asked if what == "failed"]
        self.assertGreater(len(tries), 3)
        self.assertTrue(all(at < 90 for at in tries), tries)
        self.world = World(self.clock)
        self.world.answers["bind"] = [REFUSED]
        self.world.took["give_back"] = 91
        self.assertEqual(self.handle(), "gave_back")
        self.assertNotIn("failed", self.world.did())

    def test_a_give_back_that_the_ledger_does_not_take_is_told_to_gitlab_and_fails(self):
        self.world.answers.update(bind=[REFUSED], give_back=[OSError("no answer")])
        with self.assertRaises(OSError):
            self.handle()
        self.assertEqual(self.world.did("give_back", "failed", "end"), ["give_back", "failed", "end"])


class Asking(Case):
    def test_gitlab_is_asked_within_the_wait_only(self):
        for wait, asks in ((20, 5), (7, 4), (0, 1)):
            with self.subTest(wait):
                self.world = World(self.clock)
                self.world.answers["request"] = [204]
                self.assertEqual(self.handle(wait_s=wait), "no_job")
                self.assertEqual(self.world.did().count("request"), asks)
                self.assertEqual(self.world.did()[-1], "end")

    def test_slow_answers_do_not_make_the_wait_longer(self):
        self.world.answers["request"] = [599]
        self.world.took.update(begin=5, request=10)
        self.assertEqual(self.handle(), "no_job")
        began = self.world.asked[0][1]
        asked = [at - began for what, at in self.world.asked if what == "request"]
        self.assertEqual(asked, [5, 15])

    def test_who_is_told_that_the_launch_is_gone_asks_nobody(self):
        self.world.answers["begin"] = [GONE]
        self.assertEqual(self.handle(), "gone")
        self.assertEqual(self.world.did(), ["begin"])

    def test_an_event_of_another_version_is_refused(self):
        with self.assertRaises(ValueError):
            self.handle(v=2)
        self.assertEqual(self.world.did(), [])


class Calling(Case):
    def test_troubles_that_pass_are_tried_again_and_others_are_not(self):
        self.payload(steps=[])
        self.world.answers["begin"] = [{"errorType": "Ledger.Unavailable"}, BEGUN]
        self.assertEqual(self.handle(), "done")
        self.world = World(self.clock)
        self.world.answers["begin"] = [{"errorType": "Claim.NoToken", "errorMessage": "m"}]
        with self.assertRaisesRegex(RuntimeError, "Claim.NoToken"):
            self.handle()
        self.assertEqual(self.world.did(), ["begin"])


class Renewing(Case):
    """With a job that would run for five minutes, and real threads and processes."""

    def setUp(self):
        super().setUp()
        self.payload(steps=[{"name": "script", "script": ["echo it runs", "sleep 300"]}])
        self.patch(claim, "RENEW_EVERY_S", 0.01)
        self.patch(claim, "RENEW_AGAIN_S", 0.01)
        self.patch(job, "SEND_EVERY_S", 0.05)

    def test_a_refused_renewal_stops_the_job_and_reports_it(self):
        for refusal in (REFUSED, GONE):
            with self.subTest(refusal):
                self.world = World(self.clock)
                self.world.answers["renew"] = [OK, OK, refusal]
                self.assertEqual(self.handle(), "lost")
                self.assertEqual(self.world.reason, "runner_system_failure")
                self.assertIn(b"its launch was declared lost", self.world.log)
                self.assertEqual(self.world.did("renew"), ["renew"] * 3, "nobody renews any more")
                self.assertNotIn("end", self.world.did())

    def test_a_renewal_without_an_answer_is_no_refusal(self):
        self.world.answers["renew"] = [OK, OSError("no answer"), OSError("no answer"), OK, REFUSED]
        self.assertEqual(self.handle(), "lost")
        self.assertEqual(self.world.did("renew"), ["renew"] * 5)


if __name__ == "__main__":
    unittest.main()
