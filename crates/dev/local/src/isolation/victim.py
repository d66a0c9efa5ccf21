# The positive control: a process that protects nothing, holding the secret in every way, and the probe below it. What the
# probe cannot do to this process it cannot do at all. Arguments: the probe, the secret (backwards).
import ctypes
import http.server
import os
import subprocess
import sys
import threading

probe, secret = sys.argv[1], sys.argv[2]
held = secret[::-1].encode()
# Where the Yama module restricts tracing to descendants, this lifts it for this process.
ctypes.CDLL(None).prctl(0x59616D61, -1, 0, 0, 0)
LEFT = "left-by-an-earlier-job"
home = "/tmp/control/home"
os.makedirs(home)
os.chdir("/tmp/control")
for folder in ["/tmp", "/var/tmp", "/dev/shm", home, "/tmp/control"]:
    open(f"{folder}/{LEFT}", "w").close()
left = subprocess.Popen(["bash", "-c", f"printf %s {LEFT[:15]} > /proc/self/comm; read -r x"], stdin=subprocess.PIPE)
inherited = os.open("/proc/self/exe", os.O_RDONLY)


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
environment = dict(os.environ, HOME=home, AWS_SECRET_ACCESS_KEY=held.decode())
environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://127.0.0.1:9/"
shell = f'python3 -c "$1" $PPID {secret} 127.0.0.1:{server.server_port}'
code = subprocess.run(["bash", "-c", shell, "probe", probe], env=environment, pass_fds=[inherited]).returncode
left.stdin.close()
left.wait()
sys.exit(code)
