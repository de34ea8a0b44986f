# Lives in the box of the candidate's program: calls one function of it and claims what came back. The
# call is on standard input. Claims go to where standard output went; what the program prints goes to
# standard error, so that it does not get in between.
def _call():
    import json, os, sys, types
    request = json.loads(sys.stdin.buffer.read())
    write, dumps, leave = os.write, json.dumps, os._exit
    claims = os.dup(1)
    os.dup2(2, 1)
    encode = _encoder(lambda v: ["h", 0, type(v).__name__[:80]])
    module = types.ModuleType("program")
    sys.modules["program"] = module
    space = module.__dict__
    if request["setup"]:
        exec(compile(request["setup"], "/box/setup.py", "exec"), space)
    with open("/box/program.py", "rb") as f:
        exec(compile(f.read(), "/box/program.py", "exec"), space)
    name = request["entry_point"].rpartition(".")[2]
    if name not in space and "Solution" in space:
        function = getattr(space["Solution"](), name)
    else:
        function = space[name]
    data = dumps({"v": encode(function(*request["args"], **request["kwargs"]))}).encode()
    while data:
        data = data[write(claims, data):]
    leave(0)


_call()
