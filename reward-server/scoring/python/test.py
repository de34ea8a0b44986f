# Runs the tests of a task in a box of their own. The program is in another box: names that the test
# does not define are proxies, whose calls go through a pipe. Values come back rebuilt as exact
# builtin types; one that cannot be carried is a handle, good only for giving it back.
#
# Exit status: 0 all pass, 1 a test failed, 2 the test itself is broken, 93 the program is gone, 4 a
# value cannot be carried, 5 the program raised. The last line on standard error says what happened.
import ast, builtins, json, os, sys

PASS, FAILED, BROKEN, LOST, UNCARRIED, RAISED = 0, 1, 2, 93, 4, 5
LISTS = {"l": list, "t": tuple, "s": set, "z": frozenset}
TAGS = {t: tag for tag, t in LISTS.items()}
REPLY_MAX = 64 << 20
ENDS_LOOPS = (StopIteration, StopAsyncIteration)  # all(map(candidate, ...)) would take them for an end
calls = 0


class Ended(BaseException):
    def __init__(self, status, why):
        self.status, self.why = status, why


def raised_by_program(e):
    return getattr(e, "__cohort__", None)


def refuse(self, *args):
    raise Ended(UNCARRIED, "the program returned a value of type %s, which cannot be compared" % self._type)


class Handle:
    __slots__ = ("_number", "_type")

    def __init__(self, number, name):
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_type", name)

    def __getattr__(self, name):
        return ask("get", self, name)

    def __setattr__(self, name, value):
        ask("set", self, [name, encode(value)])

    def __call__(self, *args, **kwargs):
        return ask("call", self, [encode(args), encode(kwargs)])

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = refuse
    __bool__ = __len__ = __iter__ = __getitem__ = __contains__ = __hash__ = __str__ = __repr__ = refuse
    __int__ = __float__ = __index__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = refuse
    __abs__ = __neg__ = __round__ = __format__ = __truediv__ = __rtruediv__ = __mod__ = __rmod__ = refuse


class Proxy:
    def __init__(self, name):
        self._name = name

    def __call__(self, *args, **kwargs):
        return ask("call", self, [encode(args), encode(kwargs)])


def encode(v):
    t = type(v)
    if v is None or t in (bool, float, str):
        return v
    if t is int:
        return v if -1 << 62 < v < 1 << 62 else ["i", hex(v)]
    if t in TAGS:
        return [TAGS[t], [encode(x) for x in v]]
    if t is dict:
        return ["d", [[encode(k), encode(x)] for k, x in v.items()]]
    if t is bytes:
        return ["b", v.hex()]
    if t is complex:
        return ["c", v.real, v.imag]
    if t is Handle:
        return ["h", v._number]
    if t is Proxy:
        return ["g", v._name]
    if t is type and getattr(builtins, v.__name__, None) is v:
        return ["n", v.__name__]
    raise Ended(BROKEN, "the test passes a value of type %s, which cannot be carried" % t.__name__)


def decode(v):
    if type(v) is not list:
        return v
    tag, x = v[0], v[1]
    if tag == "i":
        return int(x, 16)
    if tag == "d":
        return {decode(k): decode(y) for k, y in x}
    if tag == "b":
        return bytes.fromhex(x)
    if tag == "f":
        return float(x)
    if tag == "c":
        return complex(decode(x), decode(v[2]))
    if tag == "h":
        return Handle(int(x), str(v[2])[:80])
    return LISTS[tag](map(decode, x))


def exactly(n):
    data = bytearray()
    while len(data) < n:
        more = os.read(3, min(n - len(data), 1 << 16))
        if not more:
            raise Ended(LOST, "the program ended before it answered")
        data += more
    return bytes(data)


def send(v):
    data = json.dumps(v).encode()
    data = len(data).to_bytes(4, "big") + data
    try:
        while data:
            data = data[os.write(4, data):]
    except OSError:
        raise Ended(LOST, "the program ended before it was asked") from None


def receive():
    n = int.from_bytes(exactly(4), "big")
    if n > REPLY_MAX:
        raise Ended(UNCARRIED, "the program returned a value of %d bytes" % n)
    data = exactly(n)
    try:
        reply = json.loads(data)
        if reply[0] == "v":
            return decode(reply[1])
        names, text = [str(x)[:80] for x in reply[1]], str(reply[2])[:200]
    except Ended:
        raise
    except Exception:
        raise Ended(UNCARRIED, "what the program returned cannot be read") from None
    for name in names:
        known = getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, Exception) and not issubclass(known, ENDS_LOOPS):
            break
    else:
        known = Exception
    try:
        e = known(text)
    except TypeError:
        e = Exception(text)
    e.__cohort__ = "%s: %s" % (names[0] if names else "Exception", text)
    raise e


def ask(what, target, rest):
    global calls
    calls += 1
    send([what, encode(target), rest])
    return receive()


def unknown_names(tree, known):
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    stored |= {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    stored |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    stored |= {(a.asname or a.name).split(".")[0] for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))
               for a in n.names}
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    return {n for n in names - stored if n not in known and not hasattr(builtins, n)}


def modules(tree, names):
    """Modules that a test uses and leaves to the program to import."""
    bases = {n.value.id for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    return names & bases & sys.stdlib_module_names


def shadowed(tests, space):
    """The builtin that the program redefines, when all tests call it and nothing else: the program is asked then."""
    trees = [ast.parse(t) for t in tests]
    if any(unknown_names(t, space) for t in trees):
        return set()
    called = [{n.func.id for n in ast.walk(t) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)} for t in trees]
    common = set.intersection(*called) if called else set()
    return common if len(set.union(*called, set())) == 1 else set()


def prepare(text, space):
    try:
        tree = ast.parse(text)
        code = compile(tree, "test", "exec")
    except (SyntaxError, ValueError) as e:
        raise Ended(BROKEN, "the test is no Python: %s" % e) from None
    names = unknown_names(tree, space)
    for name in names - (own := modules(tree, names)):
        space[name] = Proxy(name)
    space.update((name, __import__(name)) for name in own)
    return code


def run(what, function):
    try:
        function()
    except Ended:
        raise
    except BaseException as e:
        said = raised_by_program(e)
        if said is not None:
            raise Ended(RAISED, "%s: the program raised %s" % (what, said)) from None
        if isinstance(e, AssertionError):
            raise Ended(FAILED, "%s failed%s" % (what, ": " + str(e) if str(e) else "")) from None
        status = FAILED if calls > 0 else BROKEN
        raise Ended(status, "%s: %s: %s" % (what, type(e).__name__, e)) from None


def main():
    with open("/box/tests.json", "rb") as f:
        task = json.load(f)
    space = {"__name__": "test"}
    try:
        receive()
    except Exception as e:
        raise Ended(RAISED, "the program raised %s" % raised_by_program(e)) from None
    setup = prepare(task["setup"], space)
    run("the setup", lambda: exec(setup, space))
    try:
        space.update((name, Proxy(name)) for name in shadowed([t["assert"].strip() for t in task["tests"] if "assert" in t], space))
    except SyntaxError:
        pass  # the test that is none is named below
    for i, test in enumerate(task["tests"]):
        what = "test %d of %d" % (i + 1, len(task["tests"]))
        if "check" in test:
            code = prepare(test["check"], space)
            run(what, lambda: exec(code, space))
            if not callable(space.get("check")) or type(space["check"]) is Proxy:
                raise Ended(BROKEN, "the test defines no check(candidate)")
            run(what, lambda: space["check"](Proxy(task["entry_point"])))
            continue
        text = test["assert"].strip()
        code = prepare(text if text.startswith("assert") else "assert (%s)" % text, space)
        run(what + " (" + text + ")", lambda: exec(code, space))


def end(status, why):
    sys.stdout.flush()
    os.write(2, ("\n" + why.replace("\n", " ")[:400]).encode("utf-8", "backslashreplace"))
    os._exit(status)


try:
    main()
except Ended as e:
    end(e.status, e.why)
except BaseException as e:
    end(FAILED if calls > 0 else BROKEN, "%s: %s" % (type(e).__name__, e))
end(PASS, "") if calls > 0 else end(BROKEN, "the test calls nothing of the program")
