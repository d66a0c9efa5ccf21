"""The `claim` function: the only part of Runnerless that this function knows."""

import contextlib
import json
import threading
import time
import uuid

import boto3
from botocore.config import Config

# A launch that was silent for three minutes is declared lost: several tries fit into what a lost renewal leaves of them.
RENEW_EVERY_S = 60
RENEW_AGAIN_S = 10
# Troubles that pass, by the beginning of their names, and the pauses before a call is repeated.
PASSING = ("Ledger.", "Parameters.")
PAUSES_S = (0.5, 1)


class Gone(Exception):
    """The launch is not ours to serve (any more): leave without asking GitLab."""


class Claim:
    def __init__(self, function, launch, nonce):
        self.function = function
        # The random part tells this delivery of the event from a second one.
        self.who = {"launch": launch, "nonce": nonce, "claim": uuid.uuid4().hex}
        # Every call may be repeated. Three tries of a binding fit into its thirty seconds.
        config = Config(connect_timeout=2, read_timeout=8, retries={"total_max_attempts": 3})
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
        """False: the launch was declared lost or stopped."""
        return self.call("renew").get("ok") is True

    def end(self, outcome, reason=None):
        self.call("end", outcome=outcome, reason=reason)

    @contextlib.contextmanager
    def renewing(self):
        """Renews the lease at once, which records the acceptance, and each minute until the block ends.

        Gives an event, which is set when a renewal is refused: the job is to be stopped then.
        """
        lost, over = threading.Event(), threading.Event()
        thread = threading.Thread(target=self.renew_until, args=(over, lost), daemon=True)
        thread.start()
        try:
            yield lost
        finally:
            over.set()
            thread.join()

    def renew_until(self, over, lost):
        pause = 0
        while not over.wait(pause):
            try:
                if not self.renew():
                    lost.set()
                    return
                pause = RENEW_EVERY_S
            except Exception as error:
                # No answer is no refusal.
                print(f"the launch was not renewed: {type(error).__name__}: {error}")
                pause = RENEW_AGAIN_S

    def call(self, do, **more):
        order = json.dumps({"do": do, **self.who, **more})
        for pause in (*PAUSES_S, None):
            answer = self.client.invoke(FunctionName=self.function, Payload=order)
            body = json.loads(answer["Payload"].read() or b"null") or {}
            if "FunctionError" not in answer:
                return body
            name = body.get("errorType") or ""
            if pause is None or not name.startswith(PASSING):
                raise RuntimeError(f"claim could not {do}: {name}: {body.get('errorMessage')}")
            time.sleep(pause)
