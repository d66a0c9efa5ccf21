# A process that holds what it was given in every way in which the probe looks for secrets of ours, and answers as the
# metadata service and the stack's routes would if they gave them to everybody. It ends with its standard input.
import http.server
import json
import os
import subprocess
import sys
import threading

token, key = os.environ["PLANTED_TOKEN"], os.environ["PLANTED_KEY"]
held = f"{token} {key}"
for path in ["/var/tmp/planted", "/var/tmp/core.4711", "/var/tmp/planted.swap"]:
    with open(path, "w") as file:
        file.write(held)
with open("/tmp/planted-swaps", "w") as file:
    file.write("Filename Type Size Used Priority\n/var/tmp/planted.swap file 1 0 -2\n")
deleted = open("/tmp/planted-and-deleted", "w+")
deleted.write(held)
deleted.flush()
os.unlink("/tmp/planted-and-deleted")
anonymous = os.memfd_create("planted")
os.write(anonymous, held.encode())
# Its words name what they give to others, as a careless command line does.
said = subprocess.Popen(["/bin/sh", "-c", "read -r word", held], stdin=subprocess.PIPE)


class Everything(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.dumps({"Code": "Success", "AccessKeyId": key, "token": token}).encode()
        if self.path.endswith(("/token", "/security-credentials/")):
            body = b"planted"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = answer

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Everything)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
said.stdin.close()
said.wait()
