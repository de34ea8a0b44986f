"""The reward server used on its own, over HTTP: every route, everything that must be refused, load, and ends of all kinds."""
import base64
import concurrent.futures
import importlib.util
import json
import os
import re
import signal
import stat
import subprocess
import threading
import time

from e2e import BIN, DEADLINE_S, Daemons, ROOT, check, cohort, equal, main, must, run, sound, wait_for
from http_server import Asking, Server, can_box, python, fields, TOKEN, JSON, GOOD


def fetch_files(s):
    """Regular files that the program left, as bytes; whatever else it puts at their names is not there."""
    want = lambda program, *names, **more: {n: base64.b64decode(t) for n, t in s.post("/run_code", python(program, fetch_files=names, **more))["files"].items()}
    equal(want("open('a', 'wb').write(bytes(range(256)) * 9)\nopen('b', 'w')\nopen('c', 'w').write('c')", "a", "b", "no"), {"a": bytes(range(256)) * 9, "b": b""}, "files")
    equal(want("import os\nos.unlink('d.txt')\nopen('d.txt', 'w').write('new')", "d.txt", "main.py", files={"d.txt": "b2xk"})["d.txt"], b"new", "one that was given")
    equal(want("open('a', 'w').write('x')\nimport os\nif os.fork() == 0:\n while True: open('a', 'w').write('yy')", "a").get("a", b"") in (b"x", b"yy", b""), True,
          "one that is written on and on")
    equal(want("open('a', 'w').write('kept')\nwhile True: pass", "a", run_timeout=0.2), {"a": b"kept"}, "after a time-out")
    equal(want("import os\nos.symlink('/etc/passwd', 'a')\nos.symlink('main.py', 'b')\nos.mkfifo('c')\nos.mkdir('d')\nos.symlink('/dev/zero', 'e')\n"
               "os.truncate(os.open('f', os.O_CREAT | os.O_RDWR), 9 << 20)\nopen('g', 'w').write('g')\nos.chmod('g', 0)\nos.chmod('.', 0)", *"abcdefg"), {"g": b"g"}, "no files")
    got = want("for n in 'abc': open(n, 'wb').write(n.encode() * (3 << 20))", "a", "b", "c")
    equal({n: len(t) for n, t in got.items()}, {"a": 3 << 20, "b": 3 << 20}, "up to 8 MiB")
    check(s.post("/run_code", python("print(1)", fetch_files=["a"] * 8))["files"] == {}, "nothing is there")


def run_code(directory, rng):
    """SandboxFusion's shapes: its status rule, streams, files, limits."""
    with Server(directory) as s:
        if not can_box(s):
            print("  skip: no sandbox here")
            return
        got = s.post("/run_code", python("import sys; print(sys.stdin.read().upper()); print('e', file=sys.stderr)", stdin="abc"))
        equal(sorted(got), ["compile_result", "executor_pod_name", "files", "message", "run_result", "status"], "members")
        equal(fields(got, "status", "message", "compile_result", "executor_pod_name", "files"), ("Success", "", None, None, {}), "answer")
        equal(fields(got["run_result"], "status", "return_code", "stdout", "stderr"), ("Finished", 0, "ABC\n", "e\n"), "run_result")
        check(0 < got["run_result"]["execution_time"] < 60, "execution_time")
        if os.path.exists("/usr/bin/node"):
            got = s.post("/run_code", {"code": "console.log(6 * 7)", "language": "nodejs"})
            equal(fields(got["run_result"], "stdout", "stderr"), ("42\n", ""), "the interpreter says nothing of its own")
        got = s.post("/run_code", python("raise SystemExit(3)"))
        equal((got["status"], got["run_result"]["return_code"]), ("Failed", 3), "exit status")
        got = s.post("/run_code", python("import os; os.kill(os.getpid(), 11)"))
        equal((got["status"], got["run_result"]["status"], got["run_result"]["return_code"]), ("Failed", "Finished", -11), "signal")
        for code in ("while True: pass", "import time; time.sleep(60)"):
            got = s.post("/run_code", python(code, run_timeout=0.2))
            equal((got["status"], fields(got["run_result"], "status", "return_code")), ("Failed", ("TimeLimitExceeded", None)), code)
        got = s.post("/run_code", python("x = bytearray(1 << 30); print(len(x))", memory_limit_MB=64))
        check(got["status"] == "Failed" and got["run_result"]["return_code"] != 0, f"memory: {got}")
        got = s.post("/run_code", python("import sys; sys.stdout.buffer.write(b'a\\xff\\x00b')"))
        equal(got["run_result"]["stdout"], "a\ufffd\x00b", "bytes that are no text")
        data = base64.b64encode(b"\x00some bytes\xff").decode()
        got = s.post("/run_code", python("print(open('a.bin', 'rb').read())", files={"a.bin": data, "none": None}))
        equal(got["run_result"]["stdout"], repr(b"\x00some bytes\xff") + "\n", "a file")
        got = s.post("/run_code", {"language": "cpp", "code": "#include \"h.h\"\nint main() { return N; }",
                                   "files": {"h.h": base64.b64encode(b"#define N 7").decode()}})
        equal((got["compile_result"]["return_code"], got["run_result"]["return_code"]), (0, 7), "C++ with a header")
        fetch_files(s)
        got = s.post("/run_code", {"language": "cpp", "code": "int main() { return x; }"})
        equal((got["status"], got["run_result"]), ("Failed", None), "what does not compile")
        check(got["compile_result"]["return_code"] == 1 and "'x' was not declared" in got["compile_result"]["stderr"], f"{got}")
        for bad, word in (({"language": "go"}, "'go' is not offered"), ({"language": None}, "needed"), ({"run_timeout": -1}, "run_timeout"),
                          ({"files": {"../x": data}}, "without '/'"), ({"files": {"x": "%"}}, "base64"), ({"files": []}, "object"),
                          ({"files": {"main.py": data}}, "the program itself"), ({"fetch_files": ["../x"]}, "without '/'"), ({"fetch_files": [""]}, "without '/'"),
                          ({"fetch_files": [3]}, "expected names"), ({"fetch_files": ["a\0b"]}, "expected names"), ({"fetch_files": ["x"] * 9}, "over 8"),
                          ({"fetch_files": "x"}, "fetch_files"), ({"stdin": 3}, "stdin"),
                          ({"memory_limit_MB": 1}, "memory_limit_MB"), ({"code": None}, "needed")):
            got = s.post("/run_code", {**python("print(1)"), **bad}, status=422)
            check(word in got["detail"], f"{bad}: {got}")
        equal(s.ask("GET", "/v1/ping")[2], "pong", "ping")
        s.stop()


def rewards(directory, rng):
    """OpenRLHF, slime and open-instruct."""
    with Server(directory) as s:
        got = s.post("/get_reward", {"query": ["<s>What is 2+2?\nIt is \\boxed{4}</s><pad><pad>", "2+2=5<|im_end|>\n"],
                                     "prompts": ["What is 2+2?\n", "2+2="], "labels": ["4", "4"]})
        equal(got, {"rewards": [1.0, 0.0], "scores": [1.0, 0.0], "extra_logs": {"math": [1.0, 0.0]}}, "get_reward")
        got = s.post("/get_reward", {"query": [], "prompts": [], "labels": []})
        equal(got, {"rewards": [], "scores": [], "extra_logs": {}}, "empty lists")
        got = s.post("/get_reward", {"query": ["x"], "prompts": ["x"], "labels": [{"nums": [1, 2], "target": 3}]})
        equal(list(got["extra_logs"]), ["countdown"], "a row as the label")
        broken = json.dumps({"prompt": "p", "language": "no-such", "tests": [{"stdout": "1"}]})
        got = s.post("/get_reward", {"query": ["1"], "prompts": [""], "labels": [broken]})
        equal(got, {"rewards": [None], "scores": [None], "extra_logs": {}}, "a label that nobody can judge")
        s.post("/get_reward", {"query": ["a"], "prompts": [], "labels": ["1"]}, status=422)
        s.post("/get_reward", {"query": [1], "prompts": ["1"], "labels": ["1"]}, status=422)
        equal(s.post("/slime", {"prompt": "p", "response": "{1, 2}", "label": "{1,2}"}), 1.0, "slime, a set")
        equal(s.post("/slime", {"prompt": [{"role": "user"}], "response": "3", "label": 4}), 0.0, "slime, a number, a chat")
        s.post("/slime", {"response": "3"}, status=422)
        if not can_box(s):
            print("  skip: no sandbox here")
            return
        got = s.post("/test_program", {"program": "def f(x): return x + 1", "tests": ["assert f(1) == 2", "assert f(1) == 3"]})
        equal((got["results"], len(got["runtimes"])), ([1, 0], 2), "test_program")
        got = s.post("/test_program_stdio", {"program": "print(int(input()) * 2)", "max_execution_time": 2,
                                             "tests": [{"input": "4\n", "output": "8\n"}, {"input": "5", "output": "11"}]})
        equal(got["results"], [1, 0], "test_program_stdio")
        s.post("/test_program_stdio", {"program": "x", "tests": ["assert"]}, status=422)
        with Server(os.path.join(directory, ""), "--scorer", "math:weight=2", "--scorer", "format:weight=0.5") as t:
            got = t.post("/get_reward", {"query": ["4"], "prompts": [""], "labels": ["4"]})
            equal(sorted(got["extra_logs"]), ["format", "math"], "the server's scorers")
            equal(got["rewards"], [2 * got["extra_logs"]["math"][0] + 0.5 * got["extra_logs"]["format"][0]], "their sum")


def same_as_grade(directory, rng):
    """/v1/score answers what `cohort grade` prints for the same rows."""
    rows = [{"prompt": "a", "answer": "1/2"}, {"prompt": "b", "answer": "x^2+1", "scorer": "math"}, {"prompt": "c", "answer": "yes", "scorer": "exact"},
            {"prompt": "d", "language": "python", "tests": [{"stdin": "3", "stdout": "9"}]},
            {"prompt": "e", "language": "python", "entry_point": "f", "tests": [{"assert": "f(2) == 4"}, {"assert": "f(3) == 9"}]},
            {"prompt": "f", "language": "no-such", "tests": [{"stdout": "1"}]}]
    texts = [r"\boxed{0.5}", "1+x^2", "yes", "print(int(input())**2)", "def f(x): return x*x", "0.51", "", "a\u2028\U0001f600\u0000b", "\\frac12",
             "print(1", "def f(x): return 4", "<think>1</think><answer>1/2</answer>"]
    responses = [{"id": rng.randrange(len(rows)), "response": rng.choice(texts)} for _ in range(60)]
    data, answers = os.path.join(directory, "data.jsonl"), os.path.join(directory, "responses.jsonl")
    for path, lines in ((data, rows), (answers, responses)):
        with open(path, "w") as f:
            f.writelines(json.dumps(line) + "\n" for line in lines)
    with Server(directory) as s:
        if not can_box(s):
            print("  skip: no sandbox here")
            return
        for scorers in ([], ["math:weight=2", "format:weight=0.5", "exact:weight=0"]):
            flags = [word for scorer in scorers for word in ("--scorer", scorer)]
            printed = must(cohort("grade", "--data", data, "--format", "tasks", "--responses", answers, *flags))
            expected = [json.loads(line) for line in printed.splitlines()]
            got = s.post("/v1/score", {"format": "tasks", "scorers": scorers,
                                       "items": [{"id": r["id"], "task": rows[r["id"]], "response": r["response"]} for r in responses]})["items"]
            equal(len(got), len(expected), "items")
            for a, b, r in zip(got, expected, responses):
                equal(list(a), list(b), "members and their order")
                a.pop("wall_ms"), b.pop("wall_ms")
                equal(a, b, f"{r}")
        check(any(a["verdict"] == "judge_fault" and a["reward"] is None for a in expected) or scorers, "no unscored item")
        equal(s.post("/v1/score", {"items": []}), {"items": []}, "no items")
        got = s.post("/v1/score", {"items": [{"task": {"question": "q", "answer": "so\n#### 5"}, "response": "5"},
                                             {"task": {"problem": "p", "solution": "\\boxed{3}"}, "response": "4"}]})["items"]
        equal([(a["id"], a["reward"]) for a in got], [(0, 1.0), (1, 0.0)], "formats found row by row; ids from 0")
        got = s.post("/v1/score", {"items": [{"task": rows[0], "response": "0.5", "truncated": True}]})["items"]
        equal(got[0]["verdict"], "truncated", "a truncated response")


def bad_items(directory, rng):
    with Server(directory) as s:
        row = {"prompt": "a", "answer": "1"}
        for item, word in (({"task": row}, "'response' is missing"), ({"response": "1"}, "'task'"), ({"task": [], "response": "1"}, "'task'"),
                           ({"task": {}, "response": "1"}, "task"), ({"task": row, "response": 1}, "'response'"),
                           ({"task": row, "response": "1", "format": "no-such"}, "no-such"), ({"task": row, "response": "1", "truncated": 1}, "truncated"),
                           ({"task": {"prompt": "a", "completion": "b"}, "response": "1"}, "demonstrations"),
                           ({"task": {**row, "scorer": "no-such"}, "response": "1"}, "no-such"),
                           ({"task": row, "response": "1", "scorers": ["no-such"]}, "unknown kind"),
                           ({"task": row, "response": "1", "scorers": ["math:weight=x"]}, "weight"),
                           ({"task": row, "response": "1", "scorers": ["length:max=10,cache=5"]}, "'tokens' is missing"),
                           ({"task": row, "response": "1", "scorers": [1]}, "scorers"), (1, "item")):
            got = s.post("/v1/score", {"items": [{"task": row, "response": "1"}, item]}, status=422)
            check(word in got["error"] and "item 1" in got["error"], f"{item}: {got}")
        s.post("/v1/score", {"items": [{"task": row, "response": "1", "tokens": 8, "scorers": ["length:max=10,cache=5"]}]})
        s.post("/v1/score", {}, status=422)
        got = s.post("/v1/score", {"items": [{"task": row, "response": "1"}] * 1025}, status=400)
        check("1024" in got["error"], f"{got}")


def client_file(directory, rng):
    """The file that TRL's users copy."""
    spec = importlib.util.spec_from_file_location("trl_reward_client", os.path.join(ROOT, "examples", "trl_reward_client.py"))
    client = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(client)
    home = os.path.join(directory, "home")
    os.mkdir(home)
    env = {k: v for k, v in os.environ.items() if k not in ("XDG_CONFIG_HOME", "CREDENTIALS_DIRECTORY")}
    before = dict(os.environ)
    with Server(directory, token=None, env={**env, "HOME": home}) as s:
        made = os.path.join(home, ".config", "cohort", "http-token")
        equal(stat.S_IMODE(os.stat(made).st_mode), 0o600, "mode of the token that was made")
        try:
            os.environ.update(HOME=home, COHORT_URL=f"http://127.0.0.1:{s.port}")
            chat = lambda role, text: [{"role": role, "content": text}]
            equal(client.cohort_reward(["2+2", "1+1"], ["4", "3"], answer=["4", "2"], trainer_state=None), [1.0, 0.0], "texts")
            equal(client.cohort_reward([chat("user", "2+2")], [chat("assistant", "It is 4")], answer=["4"]), [1.0], "chats")
            broken = {"prompt": "p", "language": "no-such", "tests": [{"stdout": "1"}]}
            equal(client.cohort_reward(["p"], ["1"], task=[broken]), [None], "a judge's fault")
            equal(client.compute_score("gsm8k", "#### 4", "4"), 1.0, "verl")
            os.environ["COHORT_SCORERS"] = "exact math:weight=0.25"
            equal(client.cohort_reward(["2+2"], ["4.0"], answer=["4"]), [0.25], "scorers")
        finally:
            os.environ.clear()
            os.environ.update(before)


# ---- what must be refused ----


def gate(directory, rng):
    with Server(directory, "--http-name", "rewards.example") as s:
        post = lambda **h: s.ask("POST", "/v1/score", GOOD, headers={k.replace("_", "-"): v for k, v in h.items()})[0]
        equal(post(), 200, "as it should be")
        basic = lambda text: "Basic " + base64.b64encode(text.encode()).decode()
        for value, status in ((None, 401), ("", 401), ("Bearer", 401), ("Bearer ", 401), (f"Bearer {TOKEN}x", 401), (f"Bearer {TOKEN[:-1]}", 401),
                              (f"bearer  {TOKEN}", 200), (TOKEN, 401), (basic(f"any:{TOKEN}"), 200), (basic(f"{TOKEN}:"), 401), (basic(TOKEN), 401),
                              ("Basic ====", 401), (basic(f":{TOKEN}"), 200), (basic(f"a:b:{TOKEN}"), 401), (f"Digest {TOKEN}", 401)):
            equal(post(Authorization=value), status, f"Authorization: {value}")
        for value, status in (("localhost", 200), ("LOCALHOST:1234", 200), (f"127.0.0.1:{s.port}", 200), ("rewards.example", 200), ("evil.example", 403),
                              ("127.0.0.1.evil.example", 403), ("127.0.0.2", 403), ("localhost.evil.example", 403), ("[::1]", 403), ("", 403),
                              ("localhost:x", 403), ("[localhost", 403), ("localhost@evil.example", 403)):
            equal(post(Host=value), status, f"Host: {value}")
        for value, status in (("application/json; charset=utf-8", 200), ("Application/JSON", 200), ("text/plain", 415), (None, 415), ("application/jsonx", 415),
                              ("application/x-www-form-urlencoded", 415), ("multipart/form-data", 415)):
            equal(post(Content_Type=value), status, f"Content-Type: {value}")
        for origin in ("http://127.0.0.1", "null", ""):
            equal(post(Origin=origin), 403, f"Origin: {origin}")
        headers = s.ask("OPTIONS", "/v1/score", headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"})
        check(headers[0] == 403 and "Access-Control-Allow-Origin" not in headers[1], f"preflight: {headers}")
        equal(s.ask("GET", "/nothing")[0], 404, "a path that is none")
        equal(s.ask("GET", "/nothing", headers={"Authorization": None})[0], 401, "a path that is none, without the token")
        equal(s.ask("GET", "/v1/score")[0], 405, "GET where it is POST")
        equal(s.ask("DELETE", "/health")[0], 405, "a method that is none")
        for path in ("/health", "/metrics", "/v1/ping"):
            equal(s.ask("GET", path, headers={"Authorization": None})[0], 401, f"{path} without the token")
        equal(s.ask("GET", "/health", headers={f"X-{i}": "y" for i in range(70)})[0], 431, "many headers")
        check(s.ask("GET", "/health", headers={"X": "y" * 40000})[0] in (413, 431, 400), "a huge header")
        head = f"Authorization: Bearer {TOKEN}\r\n"
        for text, status in ((f"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n{head}\r\n", b"400"), (f"GET /health HTTP/1.1\r\n{head}\r\n", b"400"),
                             (f"GET /health HTTP/1.1\r\nHost: localhost\r\n{head}{head}\r\n", b"400")):
            check(s.raw(text.encode()).startswith(b"HTTP/1.1 " + status), f"{text!r}: {s.raw(text.encode())[:80]}")
        s.stop()


def bodies(directory, rng):
    """Bodies that are too long, too deep, too many, or no JSON."""
    with Server(directory, "--http-body", "1") as s:
        for body in (b"", b"[]", b"1", b"{", b'{"items": [}', b'{"items": [], "items": []}', b'{"items": []} x', b"\xff", b'{"a": "\xff"}', b'{"a": 1e999}',
                     b'{"a": 123456789012345678901234567890}', b'{"a": "\\ud800"}', b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
                     b'{"a":[' + b"0," * 200000 + b"0]}", b'{"a":"'):
            got = s.post("/v1/score", body, status=400)
            check("JSON" in got["error"], f"{body[:40]}: {got}")
        equal(s.post("/run_code", b"{", status=400)["detail"][:4], "JSON", "SandboxFusion's clients look at detail")
        big = b'{"items": [], "x": "' + b"y" * (1 << 20) + b'"}'
        equal(s.post("/v1/score", big, status=413)["error"], "the body is too long", "by its length")
        connection = s.open()
        connection.request("POST", "/v1/score", iter([big[:500000], big[500000:]]), {"Authorization": f"Bearer {TOKEN}", **JSON}, encode_chunked=True)
        equal(connection.getresponse().status, 413, "in chunks")
        with s.connect() as c:  # the client waits to be told to go on
            c.sendall(f"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
                      f"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n".encode())
            check(c.recv(1000).startswith(b"HTTP/1.1 413"), "told to go on with a body that is too long")
        just = b'{"items": [], "x": "' + b"y" * ((1 << 20) - 22) + b'"}'
        equal(len(just), 1 << 20, "bytes")
        s.post("/v1/score", just)
        equal(s.figures()["cohort_http_body_bytes"], 0, "bytes of requests in memory")
        s.stop()


def garbage(directory, rng):
    """Bytes that are no HTTP, or change in the middle of it: the server says so or hangs up, and lives."""
    with Server(directory) as s:
        body = json.dumps(GOOD).encode()
        good = (f"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        check(s.raw(good).startswith(b"HTTP/1.1 200"), "the request that is changed")

        def change():
            data = bytearray(good)
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(data))
                data[at:at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
            return bytes(data[:rng.choice((len(data), rng.randrange(1, len(data) + 1)))])

        def send(data):
            try:
                s.raw(data)
            except ConnectionError:
                pass

        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            list(pool.map(send, [change() for _ in range(1000)]))
        s.post("/v1/score", GOOD)
        wait_for(lambda: s.health()["connections"] == 1, "connections to end")
        s.stop()


# ---- load, time, ends ----


def parallel(directory, rng):
    """100 clients at once, on kept connections: each gets its own answer."""
    with Server(directory, "--workers", "2") as s:
        boxes = can_box(s)

        def one(i):
            connection = s.open()
            for k in range(5):
                n = 1000 * i + k
                got = s.post("/v1/score", {"items": [{"id": n, "task": {"prompt": "p", "answer": str(n)}, "response": str(n + k % 2)}]},
                             connection=connection)["items"][0]
                equal((got["id"], got["reward"]), (n, 1.0 - k % 2), "item")
            if boxes and i % 5 == 0:
                got = s.post("/run_code", {"language": "bash", "code": f"echo {i}"}, connection=connection)
                equal((got["status"], got["run_result"]["stdout"]), ("Success", f"{i}\n"), "program")
            connection.close()

        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            list(pool.map(one, range(100)))
        f = s.figures()
        equal(f['cohort_http_requests_total{route="/v1/score",status="200"}'], 500, "requests")
        equal(f['cohort_http_request_seconds_count{route="/v1/score"}'], 500, "requests in the histogram")
        equal(f['cohort_http_request_seconds_bucket{route="/v1/score",le="+Inf"}'], 500, "requests in its last bucket")
        equal((f['cohort_verdicts_total{scorer="math",verdict="pass"}'], f['cohort_verdicts_total{scorer="math",verdict="wrong"}']), (300, 200), "verdicts")
        equal((f["cohort_queue_waiting"], f["cohort_queue_running"], f["cohort_http_body_bytes"]), (0, 0, 0), "what is left")
        s.stop()


def slow_loris(directory, rng):
    """Connections that say nothing, half a request, or never take their answer: they end, and disturb nobody meanwhile."""
    with Server(directory, "--http-timeout", "1") as s:
        head = f"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        starts = [b"", b"P", b"POST /v1/score HTTP/1.1\r\nHost: loc", (head + "Content-Length: 100\r\n\r\n{").encode()]
        held = [s.connect() for _ in range(200)]
        for i, c in enumerate(held):
            c.sendall(starts[i % len(starts)])
        s.post("/v1/score", GOOD)
        check(s.health()["connections"] > 100, "the slow ones are not there")
        dripping = threading.Event()

        def drip(c):
            try:
                while not dripping.wait(0.05):
                    c.sendall(b"x")
            except OSError:
                pass

        dripper = threading.Thread(target=drip, args=(held[3],))
        dripper.start()
        try:
            wait_for(lambda: s.health()["connections"] == 1, "the slow ones to be ended")
        finally:
            dripping.set()
            dripper.join()
        s.stop()


def busy(directory, rng):
    """A full queue: the next one is told to come again, with the status that its client understands."""
    with Server(directory, "--workers", "1", "--http-queue", "1") as s:
        if not can_box(s):
            print("  skip: no sandbox here")
            return
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            first = pool.submit(s.post, "/run_code", python("import time; time.sleep(60)", run_timeout=2))
            wait_for(lambda: s.health()["queue"]["running"] == 1, "the first to run")
            second = pool.submit(s.post, "/run_code", python("print(1)"))
            wait_for(lambda: s.health()["queue"]["waiting"] == 1, "the second to wait")
            for path, body, status in (("/run_code", python("print(1)"), 504), ("/v1/score", GOOD, 503)):
                got, headers, answer = s.ask("POST", path, body)
                equal((got, headers["Retry-After"]), (status, "1"), f"{path}: {answer}")
            equal(first.result()["run_result"]["status"], "TimeLimitExceeded", "the first")
            equal(second.result()["run_result"]["stdout"], "1\n", "the second")
        equal(s.figures()["cohort_queue_refused_total"], 2, "refused")
        s.stop()


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # with the one above it


def killed_box(directory, rng):
    """The sandbox is killed under a program, and so is all else that the server has started: the answer is right or 504, never a failed program; the next one runs."""
    with Server(directory, "--workers", "2") as s:
        if not can_box(s):
            print("  skip: no sandbox here")
            return
        answers = {"right": 0, "504": 0}
        for i in range(6):
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                asked = pool.submit(s.ask, "POST", "/run_code", python("import time; time.sleep(1); print(42)"))
                wait_for(lambda: asked.done() or s.health()["queue"]["running"] == 1, "the program to run")
                for pid in s.helpers():
                    kill(pid)
                status, headers, answer = asked.result()
            if status == 200:
                equal((answer["status"], answer["run_result"]["stdout"]), ("Success", "42\n"), f"round {i}")
                answers["right"] += 1
            else:
                equal((status, headers["Retry-After"]), (504, "1"), f"round {i}: {answer}")
                answers["504"] += 1
            equal(s.post("/run_code", python("print(7)"))["run_result"]["stdout"], "7\n", "the next program")
        print(f"  {answers}")
        health = s.health()["sandbox"]
        check(health["alive"] and health["restarts"] >= 1, f"{health}")
        s.stop()


def shutdown(directory, rng):
    """SIGTERM: what is under way is answered, what is new is not taken, then the server ends."""
    with Server(directory) as s:
        if not can_box(s):
            print("  skip: no sandbox here")
            return
        idle = s.open()
        s.post("/v1/score", GOOD, connection=idle)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(s.ask, "POST", "/run_code", python("import time; time.sleep(1); print(42)"))
            wait_for(lambda: s.health()["queue"]["running"] == 1, "the program to run")
            s.process.send_signal(signal.SIGTERM)
            status, headers, answer = asked.result()
        equal((status, answer["run_result"]["stdout"], headers["Connection"]), (200, "42\n", "close"), "the request under way")
        equal(s.process.wait(DEADLINE_S), 0, "exit status")
        try:
            s.connect().close()
            check(False, "a connection after the end")
        except ConnectionRefusedError:
            pass
    with Server(directory) as s:  # a second signal does not wait
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(s.ask, "POST", "/run_code", python("import time; time.sleep(60)", run_timeout=60))
            wait_for(lambda: s.health()["queue"]["running"] == 1, "the program to run")
            helpers = s.helpers()
            s.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "asked to stop" in s.log(), "the first signal")
            s.process.send_signal(signal.SIGTERM)
            equal(s.process.wait(DEADLINE_S), 5, "exit status")
            check(asked.exception() is not None, "an answer from nowhere")
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in helpers), "all to end with the server")


def gone_client(directory, rng):
    """Clients that leave: what they asked for is not begun any more."""
    with Server(directory, "--workers", "1") as s:
        item = {"task": {"prompt": "p", "language": "python", "tests": [{"stdout": "1"}]}, "response": "import time; time.sleep(0.2)"}
        if not can_box(s):
            print("  skip: no sandbox here")
            return
        connection = s.open()
        connection.request("POST", "/v1/score", json.dumps({"items": [item] * 1000}), {"Authorization": f"Bearer {TOKEN}", **JSON})
        wait_for(lambda: s.health()["queue"]["running"] == 1, "the items to run")
        connection.close()
        wait_for(lambda: s.health()["queue"]["running"] == 0, "the rest to be given up")  # all of them would take 200 s
        s.post("/v1/score", GOOD)
        s.stop()


def beside_a_learner(directory, rng):
    """Both faces of one process: the run gets its scores, and HTTP goes on when the run is over."""
    d = Daemons(directory)
    s = Asking()
    s.path = os.path.join(directory, "s")
    asked = 0
    try:
        d.start_all(extra={"reward-0": ("--http", f"unix:{s.path}")})
        wait_for(lambda: os.path.exists(s.path) and "msg=listening" in d.log("reward-0", 50), "the socket")
        while (status := d.tick()) is None:
            equal(s.post("/v1/score", GOOD)["items"][0]["reward"], 1.0, "reward")
            asked += 1
        equal((status, d.restarts), (0, 0), f"the run\n{d.logs()}")
        check(asked > 0, "the run was over before the first question")
        sound(d.run_dir)
        wait_for(lambda: "mod=grader msg=ended" in d.log("reward-0", 50), "the learner's face to end")
        s.post("/v1/score", GOOD)
        d.kill("reward-0", signal.SIGTERM)
        equal(d.children["reward-0"].returncode, 0, "exit status")
    finally:
        d.stop()


# ---- sockets and tokens ----


def gives_up_root(directory, rng):
    if os.geteuid() != 0:
        print("skip: only root has something to give up")
        return
    for user, uid in ((None, 65534), ("daemon", 1), ("root", 0)):
        s = Server(directory, *(("--user", user) if user else ()))
        with open(f"/proc/{s.process.pid}/status") as f:
            status = f.read()
        check(re.search(rf"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n", status), status)
        check(uid == 0 or re.search(r"CapPrm:\t0+\n", status), status)
        s.post("/v1/score", GOOD)
        if can_box(s):
            equal(s.post("/run_code", python("print(7)"))["run_result"]["stdout"], "7\n", user)
        s.stop()
    r = subprocess.run([BIN["reward"], "--http", "127.0.0.1:0", "--user", "no-such-user"], stdin=subprocess.DEVNULL, capture_output=True)
    check(r.returncode == 2 and b"no-such-user" in r.stderr, r)


def unix_socket(directory, rng):
    path = os.path.join(directory, "s")
    with Server(directory, address=f"unix:{path}", token=None) as s:
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode")
        equal(s.ask("POST", "/v1/score", GOOD, headers={"Authorization": None, "Host": "any"})[0], 200, "without a token")
        equal(s.ask("POST", "/v1/score", GOOD, headers={"Origin": "null"})[0], 403, "from a page")
        equal(s.ask("POST", "/v1/score", GOOD, headers={"Content-Type": "text/plain"})[0], 415, "no JSON")
        code, _, err = run([BIN["reward"], "--http", f"unix:{path}"])
        check(code == 1 and "another server listens here" in err, f"{code}: {err}")
        s.process.kill()
        s.process.wait()
        check(os.path.exists(path), "the socket that is left behind")
    with Server(directory, address=f"unix:{path}") as s:
        equal(s.ask("GET", "/health", headers={"Authorization": None})[0], 401, "with a token wanted")
        s.health()
        s.stop()
        check(not os.path.exists(path), "the socket is still there")
    with open(path, "w") as f:
        f.write("mine")
    code, _, err = run([BIN["reward"], "--http", f"unix:{path}"])
    check(code == 2 and "no socket" in err and open(path).read() == "mine", f"{code}: {err}")


def tokens(directory, rng):
    file = os.path.join(directory, "t")
    env = {"PATH": os.environ["PATH"], "HOME": directory}
    ask = lambda *args, **kw: run([BIN["reward"], "--http", "127.0.0.1:0", *args], env={**env, **kw})
    for text, mode, word in (("short", 0o600, "16"), ("two words, which are long enough", 0o600, "one word"), ("", 0o600, "16"), ("x" * 600, 0o600, "limit"),
                             (TOKEN, 0o644, "anybody")):
        with open(file, "w") as f:
            f.write(text)
        os.chmod(file, mode)
        code, _, err = ask("--token-file", file)
        check(code != 0 and word in err and file in err and (text not in err or not text), f"{text[:20]!r} {mode:o}: {code} {err}")
    code, _, err = run([BIN["reward"], "--http", "127.0.0.1:0"], env={"PATH": os.environ["PATH"]})
    check(code == 2 and "--token-file" in err, f"no home: {code} {err}")
    credentials = os.path.join(directory, "credentials")
    os.mkdir(credentials)
    with open(os.path.join(credentials, "http-token"), "w") as f:
        f.write(TOKEN)
    os.chmod(os.path.join(credentials, "http-token"), 0o400)
    with Server(directory, token=None, env={**env, "CREDENTIALS_DIRECTORY": credentials}) as s:
        s.health()
    for address, word in (("8080", "HOST:PORT"), ("127.0.0.1:", "HOST:PORT"), ("127.0.0.1:99999", "HOST:PORT"), ("::1:80", "HOST:PORT"), ("unix:", "path"),
                          ("unix:/" + "x" * 200, "path"), ("no such host:80", "no address")):
        code, _, err = run([BIN["reward"], "--http", address], env=env)
        check(code == 2 and word in err, f"{address}: {code} {err}")
    for args, word in ((("--workers", "2"), "for --http"), ((), "--http ADDRESS"), (("--http", "127.0.0.1:0", "--workers", "0"), "1 to 256"),
                       (("--http", "127.0.0.1:0", "--scorer", "no-such"), "unknown kind"), (("--run", "x", "--workers", "2"), "for --http")):
        code, _, err = run([BIN["reward"], *args], env=env)
        check(code == 2 and word in err, f"{args}: {code} {err}")
    check("/run_code" in must(run([BIN["reward"], "--help"])), "--help says nothing of the routes")


main(run_code, rewards, same_as_grade, bad_items, client_file, gate, bodies, garbage, parallel, slow_loris, busy, killed_box, shutdown, gone_client, gives_up_root,
     beside_a_learner, unix_socket, tokens)
