# The other side of test.py: lives in the box of the candidate's program and answers calls. Whatever
# the program does to this file's objects, it can only claim other values than it computed.
def _serve():
    import builtins, json, os, sys, types
    kind, integer, text = type, int, str
    read, write, dumps, loads = os.read, os.write, json.dumps, json.loads
    kept = []

    def handle(v):
        kept.append(v)
        return ["h", len(kept) - 1, text(kind(v).__name__)[:80]]

    encode = _encoder(handle)

    def decode(v):
        if kind(v) is not list:
            return v
        tag, x = v[0], v[1]
        if tag == "i":
            return integer(x, 16)
        if tag == "d":
            return {decode(k): decode(y) for k, y in x}
        if tag == "b":
            return bytes.fromhex(x)
        if tag == "f":
            return float(x)
        if tag == "c":
            return complex(decode(x), decode(v[2]))
        if tag == "h":
            return kept[x]
        if tag == "n":
            return getattr(builtins, x)
        if tag == "g":
            return space[x]
        return {"l": list, "t": tuple, "s": set, "z": frozenset}[tag](map(decode, x))

    def exactly(n):
        data = b""
        while len(data) < n:
            more = read(3, n - len(data))
            if not more:
                os._exit(0)
            data += more
        return data

    def send(v):
        data = dumps(v).encode()
        data = len(data).to_bytes(4, "big") + data
        while data:
            data = data[write(4, data):]

    def failed(e):
        try:
            send(["e", [c.__name__ for c in kind(e).__mro__][:8], text(e)[:200]])
        except Exception:
            send(["e", ["Exception"], ""])

    module = types.ModuleType("program")
    sys.modules["program"] = module
    space = module.__dict__
    try:
        with open("/box/program.py", "rb") as f:
            source = f.read()
        exec(compile(source, "/box/program.py", "exec"), space)
    except Exception as e:
        failed(e)
        os._exit(0)
    send(["v", None])
    while True:
        what, target, rest = loads(exactly(integer.from_bytes(exactly(4), "big")))
        try:
            target = decode(target)
            if what == "call":
                result = target(*decode(rest[0]), **decode(rest[1]))
            elif what == "get":
                result = getattr(target, rest)
            else:
                result = setattr(target, rest[0], decode(rest[1]))
            reply = ["v", encode(result)]
        except Exception as e:
            failed(e)
            continue
        send(reply)


_serve()
