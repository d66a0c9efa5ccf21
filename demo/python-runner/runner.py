"""A Lambda function that takes the executor's place, in another language and with nothing of Runnerless in it.

It is started with a launch event (docs/lambda-event.md) and speaks to two parties only: the `claim` function, which
answers for the ledger and has the runner's token, and GitLab. It runs one job with bash and git, and is an example, not
a complete runner: no artifacts, no cache, no submodules, no `image:`.
"""

import ctypes
import time

from claim import Claim, Gone
from gitlab import GitLab, Refused
from job import Job

VERSION = 1
# When to ask for a job, in seconds after the begin; the event's wait_s cuts it short.
ASK_AT = (0, 1, 3, 7, 15)
# A begin whose answer took longer came too late to ask even once.
BEGIN_WITHIN_S = 20
# Counted from the 201: a binding and an acceptance that come later are too late, and in the end the job may be another
# runner's, so that nothing is sent about it any more.
BIND_WITHIN_S = 30
ACCEPT_WITHIN_S = 60
SILENT_AFTER_S = 90
# The pauses between two tries to accept or to give back: the first one, which doubles, and the longest.
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5
# What is left of the invocation for the report when a job is stopped because its time is up.
GRACE_S = 30
# prctl(2): the job's processes, which are the same user's, cannot read this one's environment and memory.
PR_SET_DUMPABLE = 4


def handler(event, context):
    if event.get("v") != VERSION:
        raise ValueError(f"a launch event of version {event.get('v')} is none that this function knows")
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    claim = Claim(event["claim_function"], event["launch"], event["nonce"])
    begun_at = time.monotonic()
    try:
        begun = claim.begin()
    except Gone as gone:
        return {"outcome": "gone", "reason": str(gone)}
    gitlab = GitLab(event["gitlab_url"], begun["token"], begun["system_id"])
    try:
        offer = ask(gitlab, begun_at, event["wait_s"])
        outcome = "no_job" if offer is None else serve(claim, gitlab, offer, context)
    except Exception as error:
        claim.end("failed", f"{type(error).__name__}: {error}")
        raise
    # What was given back, and what was declared lost, ended the launch already.
    if outcome not in ("gave_back", "lost"):
        claim.end(outcome)
    return {"outcome": outcome}


class Offer:
    """A job that GitLab offered: nobody's until it is accepted."""

    def __init__(self, payload):
        self.payload = payload
        self.ids = {"project_id": payload["job_info"]["project_id"], "job_id": payload["id"]}
        self.at = time.monotonic()

    def age(self):
        return time.monotonic() - self.at


def ask(gitlab, begun_at, wait_s):
    for at in ASK_AT:
        time.sleep(max(0.0, begun_at + at - time.monotonic()))
        # The first ask may be late by what the begin took, but a late one is not repeated.
        limit = BEGIN_WITHIN_S if at == 0 else wait_s
        if time.monotonic() - begun_at > limit:
            break
        payload = gitlab.request_job()
        if payload is not None:
            return Offer(payload)
    return None


def serve(claim, gitlab, offer, context):
    # Bound before it is accepted, and accepted before its first line runs: a job is never run twice.
    if not bind(claim, offer) or not accept(gitlab, offer):
        return give_back(claim, gitlab, offer)
    with claim.renewing() as lost:
        return Job(offer.payload, gitlab, seconds_left(offer.payload, context), lost).run()


def bind(claim, offer):
    try:
        bound = claim.bind(offer.ids)
    except Exception as error:
        # It may be bound or not. Giving back is right for both.
        print(f"the job was not bound: {type(error).__name__}: {error}")
        return False
    return bound and offer.age() <= BIND_WITHIN_S


def accept(gitlab, offer):
    for left in tries(offer, ACCEPT_WITHIN_S):
        try:
            if gitlab.accept(offer.payload, left):
                return offer.age() <= ACCEPT_WITHIN_S
        except Refused as refused:
            print(f"the job was not accepted: {refused}")
            return False
    return False


def give_back(claim, gitlab, offer):
    """The record first, then GitLab, each whatever became of the other."""
    try:
        claim.give_back(offer.ids)
    finally:
        for left in tries(offer, SILENT_AFTER_S):
            if gitlab.give_back(offer.payload, left):
                break
    return "gave_back"


def tries(offer, until):
    """The seconds that are left until this age of the offer, again and again with pauses between, until none are."""
    pause = FIRST_PAUSE_S
    while (left := until - offer.age()) > 0:
        yield left
        time.sleep(max(0.0, min(pause, until - offer.age())))
        pause = min(2 * pause, LONGEST_PAUSE_S)


def seconds_left(payload, context):
    """The smaller of the job's timeout and what is left of the invocation."""
    timeout = payload.get("runner_info", {}).get("timeout") or 7200
    return max(1.0, min(timeout, context.get_remaining_time_in_millis() / 1000 - GRACE_S))
