"""A Lambda function that takes the executor's place, in another language and with nothing of Runnerless in it.

It is started with a launch event (docs/lambda-event.md) and speaks to two parties only: the `claim` function, which
answers for the ledger and has the runner's token, and GitLab. It runs one job with bash and git, and is an example, not
a complete runner: no artifacts, no cache, no submodules, no `image:`.
"""

import time

from claim import Claim, Gone
from gitlab import GitLab, Refused
from job import Job

# When to ask for a job, in seconds after the begin; the event's wait_s cuts it short.
ASK_AT = (0, 1, 3, 7, 15)
# A binding that comes later than this after the 201 is too late: the job may be another runner's soon.
BIND_WITHIN_S = 30
# What is left of the invocation for the report when a job is stopped because its time is up.
GRACE_S = 30


def handler(event, context):
    claim = Claim(event["claim_function"], event["launch"], event["nonce"])
    try:
        begun = claim.begin()
    except Gone as gone:
        return {"outcome": "gone", "reason": str(gone)}
    gitlab = GitLab(event["gitlab_url"], begun["token"], begun["system_id"])
    try:
        taken = ask(gitlab, event["wait_s"])
        outcome = "no_job" if taken is None else serve(claim, gitlab, taken, context)
    except Exception as error:
        claim.end("failed", f"{type(error).__name__}: {error}")
        raise
    # What was given back ended the launch already.
    if outcome != "gave_back":
        claim.end(outcome)
    return {"outcome": outcome}


def ask(gitlab, wait_s):
    begun = time.monotonic()
    for at in ASK_AT:
        if at > wait_s:
            break
        time.sleep(max(0.0, begun + at - time.monotonic()))
        job = gitlab.request_job()
        if job is not None:
            return job
    return None


def serve(claim, gitlab, payload, context):
    got_at = time.monotonic()
    ids = {"project_id": payload["job_info"]["project_id"], "job_id": payload["id"]}
    # Bound before it is accepted, and accepted before its first line runs: a job is never run twice.
    if not claim.bind(ids) or time.monotonic() - got_at > BIND_WITHIN_S:
        return give_back(claim, gitlab, payload, ids)
    try:
        gitlab.accept(payload)
    except Refused:
        return give_back(claim, gitlab, payload, ids)
    with claim.renewing():
        Job(payload, gitlab, seconds_left(payload, context)).run()
    return "done"


def give_back(claim, gitlab, payload, ids):
    claim.give_back(ids)
    gitlab.give_back(payload)
    return "gave_back"


def seconds_left(payload, context):
    """The smaller of the job's timeout and what is left of the invocation."""
    timeout = payload.get("runner_info", {}).get("timeout") or 7200
    return max(1.0, min(timeout, context.get_remaining_time_in_millis() / 1000 - GRACE_S))
