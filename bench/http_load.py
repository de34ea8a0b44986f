#!/usr/bin/env python3
"""How many requests a second the reward server's HTTP face answers, beside `cohort grade` on the same rows.

Usage: COHORT_BUILD=build bench/http_load.py [SECONDS]

Kept connections from processes of their own, each with one request under way, as trainers do; clients and server share the machine.
Prints requests and items per second, the median and the 99th percentile of a request, and for each kind of work the time of an item
through `cohort grade` with as many workers.
"""
import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("COHORT_BUILD", "build")
WORKERS = os.cpu_count()
CLIENTS = 2 * WORKERS
MATH = ({"prompt": "p", "answer": r"\frac{3\sqrt{2}}{4}"}, r"Thus the area is $\boxed{\dfrac{3}{2\sqrt2}}$.")
CODE = ({"prompt": "p", "language": "python", "tests": [{"stdin": "3 4", "stdout": "7"}]}, "print(sum(map(int, input().split())))")
GRADED = 4000


def request(token, path, body):
    data = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


def client(port, data, good, end, out):
    """One request after the other; the times of all."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.monotonic() < end:
            start = time.monotonic()
            s.sendall(data)
            got = s.recv(1 << 20)
            while b"\r\n\r\n" not in got:
                got += s.recv(1 << 20)
            head, _, body = got.partition(b"\r\n\r\n")
            n = int(re.search(rb"Content-Length: (\d+)", head).group(1))
            while len(body) < n:
                body += s.recv(1 << 20)
            assert head.startswith(b"HTTP/1.1 200") and good in body, got
            times.append(time.monotonic() - start)
    out.put(times)


def load(port, data, good, seconds):
    out = multiprocessing.Queue()
    end = time.monotonic() + seconds
    clients = [multiprocessing.Process(target=client, args=(port, data, good, end, out)) for _ in range(CLIENTS)]
    for c in clients:
        c.start()
    times = sorted(t for _ in clients for t in out.get())
    for c in clients:
        c.join()
    return len(times) / seconds, times[len(times) // 2], times[len(times) * 99 // 100]


def grade(directory, work, count):
    """Items per second of `cohort grade`, its start left out."""
    data, responses = os.path.join(directory, "data.jsonl"), os.path.join(directory, "responses.jsonl")
    seconds = []
    for n in (1, 1 + count):
        with open(data, "w") as f:
            f.write(json.dumps(work[0]) + "\n")
        with open(responses, "w") as f:
            f.writelines(json.dumps({"id": 0, "response": work[1]}) + "\n" for _ in range(n))
        start = time.monotonic()
        subprocess.run([os.path.join(BUILD, "cli", "cohort"), "grade", "--data", data, "--responses", responses, "--workers", str(WORKERS)],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        seconds.append(time.monotonic() - start)
    return count / (seconds[1] - seconds[0])


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    token = "a-token-of-the-benchmark"
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "token")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(token)
        server = subprocess.Popen([os.path.join(BUILD, "reward-server", "cohort-reward-server"), "--http", "127.0.0.1:0", "--token-file", path],
                                  stderr=subprocess.PIPE, text=True)
        port = next(int(m.group(1)) for line in server.stderr if (m := re.search(r"address=http://[^ ]*:(\d+)", line)))
        item = lambda work: {"task": work[0], "response": work[1]}
        run = {"language": "python", "code": CODE[1], "stdin": "3 4"}
        print(f"{WORKERS} workers, {CLIENTS} clients, {seconds:g} s each\n{'work':28} {'requests/s':>10} {'items/s':>8} {'median ms':>10} {'p99 ms':>8}"
              f" {'cohort grade, items/s':>22}")
        for name, route, body, good, items, work in (
                ("math, one a request", "/v1/score", {"items": [item(MATH)]}, b'"reward":1.0', 1, MATH),
                ("math, 64 a request", "/v1/score", {"items": [item(MATH)] * 64}, b'"reward":1.0', 64, MATH),
                ("Python, /run_code", "/run_code", run, b'"stdout":"7\\n"', 1, CODE),
                ("Python, one a request", "/v1/score", {"items": [item(CODE)]}, b'"reward":1.0', 1, CODE)):
            rate, median, p99 = load(port, request(token, route, body), good, seconds)
            peer = grade(directory, work, GRADED if work is MATH else GRADED // 10)
            print(f"{name:28} {rate:10.0f} {rate * items:8.0f} {1e3 * median:10.2f} {1e3 * p99:8.2f} {peer:22.0f}", flush=True)
        server.terminate()
        server.wait()


main()
