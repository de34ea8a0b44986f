# Runs the program as the module __main__, in a cold interpreter as in a warm one, and ends the process: threads, atexit, what
# objects do at their end, flushing, but not the taking apart of modules, which costs more than most programs. -S leaves out site;
# its two names that programs use are put back. A warm interpreter forks in wait (warm.py), when all is ready for a program.
def run(path):
    import atexit, builtins, gc, os, sys
    from _sitebuiltins import Quitter
    sys.path[:] = [p for p in sys.path if p]
    sys.argv = [path]
    builtins.exit, builtins.quit = Quitter("exit", ""), Quitter("quit", "")
    space = sys.modules["__main__"].__dict__
    space["__file__"] = path
    del space["run"]
    wait = space.pop("wait", None)
    leave, hook, streams = os._exit, sys.__excepthook__, (sys.__stdout__, sys.__stderr__)

    def status_of(e):
        if isinstance(e, SystemExit):
            if e.code is None or type(e.code) is int:
                return (e.code or 0) & 255
            print(e.code, file=streams[1])
            return 1
        trace = e.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == "<string>":
            trace = trace.tb_next
        custom = sys.excepthook
        (custom if callable(custom) else hook)(type(e), e.with_traceback(trace), trace)
        return 1

    def attempt(what):
        try:
            what()
        except BaseException as e:
            hook(type(e), e, e.__traceback__)

    def main():
        with open(path, "rb") as f:
            source = f.read()
        exec(compile(source, path, "exec"), space)

    def finish():
        if "threading" in sys.modules:
            attempt(sys.modules["threading"]._shutdown)
        attempt(atexit._run_exitfuncs)
        attempt(space.clear)
        attempt(gc.collect)

    if wait is not None:
        wait()
    status = 0
    try:
        main()
    except BaseException as e:
        try:
            status = status_of(e)
        except BaseException as again:
            hook(type(again), again, again.__traceback__)
            status = 1
    attempt(finish)
    for stream in (sys.stdout, sys.stderr) + streams:
        try:
            stream.flush()
        except (AttributeError, ValueError):
            pass  # replaced or closed by the program
        except BaseException:
            status = status or 120
    leave(status)


run("/box/main.py")
