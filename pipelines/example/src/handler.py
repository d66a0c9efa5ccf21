"""The product of this repository: a Lambda function that greets, and says whether it works when it is asked to."""

GREETING = "hello"


def handler(event, _context):
    if event.get("check"):
        return {"ok": bool(GREETING)}
    return {"text": f"{GREETING}, {event['name']}"}
