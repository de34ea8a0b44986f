"""A reward server that answers over HTTP, started for a test, and how to ask it. Used by http_test.py."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time

from e2e import BIN, DEADLINE_S, check, equal, wait_for

TOKEN = "a-token-of-the-tests"
JSON = {"Content-Type": "application/json"}
GOOD = {"items": [{"task": {"prompt": "2+2", "answer": "4"}, "response": "It is 4"}]}


class Asking:
    """A way to ask a server: path of its Unix socket, or host and port."""

    path = None

    def connect(self):
        if self.path is None:
            return socket.create_connection((self.host, self.port), timeout=DEADLINE_S)
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(DEADLINE_S)
        s.connect(self.path)
        return s

    def open(self):
        connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=DEADLINE_S)
        connection.sock = self.connect()
        return connection

    def ask(self, method, path, body=None, headers=None, connection=None):
        """(status, headers, answer); the answer is taken apart when it is JSON."""
        own = connection is None
        connection = connection or self.open()
        sent = {"Authorization": f"Bearer {TOKEN}", **(JSON if body is not None else {}), **(headers or {})}
        sent = {k: v for k, v in sent.items() if v is not None}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection.request(method, path, body, sent)
        reply = connection.getresponse()
        answer = reply.read()
        if own:
            connection.close()
        if "json" in reply.headers.get("Content-Type", ""):
            answer = json.loads(answer)
        return reply.status, reply.headers, answer

    def post(self, path, body, status=200, **kw):
        """Asks again after 503 and 504, as clients do: the machine may be too busy for a program."""
        end = time.monotonic() + DEADLINE_S
        got, _, answer = self.ask("POST", path, body, **kw)
        while got in (503, 504) and time.monotonic() < end:
            got, _, answer = self.ask("POST", path, body, **kw)
        equal(got, status, f"status of {path}: {answer}")
        return answer

    def raw(self, data):
        """Sends bytes, returns all that comes back until the server closes."""
        with self.connect() as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            out = b""
            while True:
                got = s.recv(65536)
                if not got:
                    return out
                out += got

    def health(self):
        status, _, answer = self.ask("GET", "/health")
        equal(status, 200, "health")
        return answer

    def figures(self):
        status, headers, text = self.ask("GET", "/metrics")
        equal((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"), "metrics")
        out = {}
        for line in text.decode().splitlines():
            if not line.startswith("#"):
                name, value = re.fullmatch(r'([a-z_]+(?:\{[a-z]+="[^"\\]*"(?:,[a-z]+="[^"\\]*")*\})?) (\S+)', line).groups()
                check(name not in out, f"{name} stands twice")
                out[name] = float(value)
        return out


class Server(Asking):
    """One reward server; its address is in its log."""

    def __init__(self, directory, *args, address="127.0.0.1:0", token=TOKEN, env=None):
        self.log_path = os.path.join(directory, "server.log")
        if token is not None:
            token_file = os.path.join(directory, "token")
            with open(token_file, "w") as f:
                f.write(token + "\n")
            os.chmod(token_file, 0o600)
            args = ("--token-file", token_file, *args)
        log = open(self.log_path, "wb")
        self.process = subprocess.Popen([BIN["reward"], "--http", address, *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env=env, start_new_session=True)
        log.close()
        shown = wait_for(self.listening, "the address")
        self.path = shown[5:] if shown.startswith("unix:") else None
        if self.path is None:
            host, _, port = shown[7:].rpartition(":")
            self.host, self.port = host, int(port)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def listening(self):
        found = re.search(r"msg=listening address=(\S+)", self.log())
        check(found or self.process.poll() is None, self.log())
        return found and found.group(1)

    def helpers(self):
        """Process ids of the sandbox and of all else that the server has started, and theirs."""
        parents = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as f:
                    parents[int(name)] = int(f.read().rpartition(")")[2].split()[1])
            except OSError:
                pass  # it has ended
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
            found |= more
        return found - {self.process.pid}

    def stop(self, status=0):
        self.process.send_signal(signal.SIGTERM)
        equal(self.process.wait(DEADLINE_S), status, f"exit status\n{self.log()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def can_box(server):
    return server.health()["sandbox"] is not None


def python(code, **more):
    return {"language": "python", "code": code, **more}


def fields(result, *names):
    return tuple(result[n] for n in names)


# ---- the routes ----
