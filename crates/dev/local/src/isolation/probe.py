# What a job can reach. Arguments: the process that runs the job, the secret that it holds (backwards, so that this text does
# not hold it), and the address of its Runtime API or `none`. Prints one JSON object a line, each after `@@row `.
import ctypes
import glob
import json
import os
import signal
import socket
import struct
import sys
import urllib.error
import urllib.request

TARGET, SECRET, API = int(sys.argv[1]), sys.argv[2][::-1].encode(), sys.argv[3]
LEFT = "left-by-an-earlier-job"
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long
PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206
PIDFD_OPEN, PIDFD_GETFD, PROCESS_VM_READV = 434, 438, 310 if os.uname().machine == "x86_64" else 270


def attempt(name, target, act):
    row = {"attempt": name, "target": target, "error": None, "bytes": None, "secret": False}
    try:
        read = act()
        row["bytes"], row["secret"] = len(read), SECRET in read
    except OSError as error:
        row["error"] = f"{error.strerror or error}"
    print("@@row " + json.dumps(row))


def checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def proc(name):
    return f"/proc/{TARGET}/{name}"


def read(path):
    with open(path, "rb") as file:
        return file.read(1 << 20)


def listed(path):
    return " ".join(os.listdir(path)).encode()


def regions():
    for line in read(proc("maps")).decode().splitlines():
        span, mode = line.split()[:2]
        first, last = (int(end, 16) for end in span.split("-"))
        if mode.startswith("rw") and "[v" not in line:
            yield first, min(last - first, 64 << 20)


def by_mem():
    found = b""
    with open(proc("mem"), "rb", buffering=0) as memory:
        for first, size in regions():
            try:
                memory.seek(first)
                part = memory.read(size)
            except OSError:
                continue
            found = found or part[:64]
            if SECRET in part:
                return SECRET
    return found


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def by_process_vm():
    buffer = ctypes.create_string_buffer(4096)
    try:
        first = next(regions())[0]
    except OSError:
        first = id(buffer)  # some address: the right is checked before it is looked at
    ours = Vector(ctypes.cast(buffer, ctypes.c_void_p), 4096)
    theirs = Vector(first, 4096)
    size = checked(libc.syscall(PROCESS_VM_READV, TARGET, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0))
    return buffer.raw[:size]


def traced(request):
    checked(libc.ptrace(request, TARGET, None, None))
    if request == PTRACE_ATTACH:
        os.waitpid(TARGET, 0)
    else:
        os.kill(TARGET, signal.SIGSTOP)
        os.waitpid(TARGET, 0)
    checked(libc.ptrace(PTRACE_DETACH, TARGET, None, None))
    os.kill(TARGET, signal.SIGCONT)
    return b"attached"


def taken_descriptor():
    handle = checked(libc.syscall(PIDFD_OPEN, TARGET, 0))
    try:
        os.close(checked(libc.syscall(PIDFD_GETFD, handle, 2, 0)))
    finally:
        os.close(handle)
    return b"taken"


def opened_descriptor():
    trouble = None
    for number in range(64):
        try:
            os.close(os.open(proc(f"fd/{number}"), os.O_RDONLY))
            return b"opened"
        except OSError as error:
            trouble = trouble or error
    raise trouble


def written(name, value):
    with open(proc(name), "wb", buffering=0) as file:
        file.write(value)
    return value


def signalled():
    os.kill(TARGET, 0)
    return b"may be signalled"


def inherited():
    extra = [number for number in os.listdir("/proc/self/fd") if int(number) > 2]
    return b" ".join(os.fsencode(name) for name in filter(None, map(described, extra)))


def described(number):
    try:
        name = os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        return None  # the listing's own
    return None if name.endswith("/fd") else name


def leftovers(roots):
    found = []
    for root in roots:
        for folder, folders, files in os.walk(root):
            found += [os.path.join(folder, name) for name in folders + files if LEFT in name]
    return " ".join(found).encode()


def processes():
    names = (read(path) for path in glob.glob("/proc/[0-9]*/comm"))
    return b" ".join(name for name in names if LEFT[:15].encode() in name)


def work_roots():
    above = os.environ.get("CI_PROJECT_DIR", "/tmp/control")
    return ["/tmp/runnerless", os.path.dirname(os.path.dirname(above)), os.getcwd()]


def api(method, path, body=None):
    if API == "none":
        raise OSError("there is none")
    request = urllib.request.Request(f"http://{API}/2018-06-01/runtime/{path}", method=method, data=body)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=2) as answer:
            return answer.read() or b"ok"
    except urllib.error.HTTPError as error:
        raise OSError(f"HTTP {error.code}") from None


def connected():
    if API == "none":
        raise OSError("there is none")
    host, port = API.split(":")
    with socket.create_connection((host, int(port)), timeout=2):
        return b"connected"


def environment(word):
    pairs = (f"{name}={value}" for name, value in os.environ.items())
    return "\n".join(pair for pair in pairs if word(pair)).encode()


OURS = ("AWS_", "RUNNERLESS_", "LAMBDA_", "_HANDLER", "_X_AMZN")
attempt("environment: ours", "own", lambda: environment(lambda pair: pair.startswith(OURS)))
attempt("environment: credential addresses", "own", lambda: environment(lambda pair: "CREDENTIALS" in pair))
for name in ["environ", "maps", "auxv", "exe", "io", f"task/{TARGET}/environ"]:
    shown = name.replace(str(TARGET), "<pid>")
    attempt(f"read {shown}", "runner", lambda name=name: read(proc(name)))
attempt("read mem", "runner", by_mem)
for name in ["fd", "map_files"]:
    attempt(f"list {name}", "runner", lambda name=name: listed(proc(name)))
attempt("open a descriptor", "runner", opened_descriptor)
for name in ["cwd", "root", "exe"]:
    attempt(f"follow {name}", "runner", lambda name=name: os.readlink(proc(name)).encode())
attempt("read cmdline", "runner", lambda: read(proc("cmdline")))
attempt("ptrace attach", "runner", lambda: traced(PTRACE_ATTACH))
attempt("ptrace seize", "runner", lambda: traced(PTRACE_SEIZE))
attempt("process_vm_readv", "runner", by_process_vm)
attempt("pidfd_getfd", "runner", taken_descriptor)
attempt("write oom_score_adj", "runner", lambda: written("oom_score_adj", b"500"))
attempt("write coredump_filter", "runner", lambda: written("coredump_filter", b"0"))
attempt("signal 0", "runner", signalled)
attempt("inherited descriptors", "own", inherited)
attempt("files in /tmp, /var/tmp, /dev/shm", "earlier job", lambda: leftovers(["/tmp", "/var/tmp", "/dev/shm"]))
attempt("files in HOME", "earlier job", lambda: leftovers([os.environ["HOME"]]))
attempt("files in the work root", "earlier job", lambda: leftovers(work_roots()))
attempt("processes", "earlier job", processes)
attempt("connect", "Runtime API", connected)
attempt("ask for an event", "Runtime API", lambda: api("GET", "invocation/next"))
attempt("answer a guessed id", "Runtime API", lambda: api("POST", "invocation/r-guessed/response", b"{}"))
attempt("fail a guessed id", "Runtime API", lambda: api("POST", "invocation/r-guessed/error", b"{}"))
