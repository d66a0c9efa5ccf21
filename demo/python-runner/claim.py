"""The `claim` function: the only part of Runnerless that this function knows."""

import contextlib
import json
import threading
import uuid

import boto3
from botocore.config import Config

RENEW_EVERY_S = 60


class Gone(Exception):
    """The launch is not ours to serve (any more): leave without asking GitLab."""


class Claim:
    def __init__(self, function, launch, nonce):
        self.function = function
        # The random part tells this delivery of the event from a second one.
        self.who = {"launch": launch, "nonce": nonce, "claim": uuid.uuid4().hex}
        # Every call may be repeated.
        config = Config(connect_timeout=2, read_timeout=15, retries={"total_max_attempts": 3})
        self.client = boto3.client("lambda", config=config)

    def begin(self):
        answer = self.call("begin")
        if answer.get("gone"):
            raise Gone(answer.get("reason", ""))
        return answer

    def bind(self, job):
        return self.call("bind", job=job).get("ok") is True

    def give_back(self, job):
        self.call("give_back", job=job)

    def renew(self):
        self.call("renew")

    def end(self, outcome, reason=None):
        self.call("end", outcome=outcome, reason=reason)

    @contextlib.contextmanager
    def renewing(self):
        """Renews the lease at once, which says that the job was accepted, and each minute until the block ends."""
        stop = threading.Event()

        def renew():
            while True:
                with contextlib.suppress(Exception):
                    # The next one may succeed; the lease outlives two lost ones.
                    self.renew()
                if stop.wait(RENEW_EVERY_S):
                    return

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def call(self, do, **more):
        order = json.dumps({"do": do, **self.who, **more})
        answer = self.client.invoke(FunctionName=self.function, Payload=order)
        body = json.loads(answer["Payload"].read() or b"null")
        if "FunctionError" in answer:
            raise RuntimeError(f"claim could not {do}: {body.get('errorType')}: {body.get('errorMessage')}")
        return body or {}
