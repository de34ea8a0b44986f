"""The run can be read by anyone with the sqlite3 shell: while it runs, after a clean stop, after a kill, without write
permission. The questions are those of the documentation."""
import os
import signal
import subprocess

from e2e import Daemons, check, equal, main, must, rows, run, wait_for

QUESTIONS = {
    "reward curve": "SELECT stage, step, reward, pass_rate FROM v_steps ORDER BY stage, step",
    "groups without variance": "SELECT id, stage, step, reward FROM v_groups WHERE tied = 1",
    "completions of the hardest tasks": "SELECT c.text, c.reward FROM v_completions c JOIN (SELECT task, avg(reward) AS r "
                                        "FROM v_completions GROUP BY task ORDER BY r LIMIT 3) h ON h.task = c.task",
    "verdicts of a step and why": "SELECT verdict, reason, count(*) FROM v_verdicts WHERE stage = 'zero' AND step = 1 GROUP BY 1, 2",
    "who is working": "SELECT name, role, state, live_leases FROM v_workers",
    "how old were the samples": "SELECT step, lag, groups FROM v_lag",
}
MAY_BE_EMPTY = {"groups without variance"}


def sqlite3_shell(run_dir, sql, user=None):
    args = ["sqlite3", "-readonly", f"{run_dir}/run.db", sql]
    if user is not None:
        args = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *args]
    return must(run(args))


def ask(run_dir, when, complete):
    users = [None] + ([65534] if os.getuid() == 0 else [])
    for user in users:
        for what, sql in QUESTIONS.items():
            out = sqlite3_shell(run_dir, sql, user)
            if complete and what not in MAY_BE_EMPTY:
                check(out.strip(), f"{when}, user {user}: no answer to '{what}'")


def questions(directory, rng):
    d = Daemons(directory, actors=2)
    try:
        d.start_all()
        wait_for(lambda: os.path.exists(f"{d.run_dir}/address"), "the learner's address")
        wait_for(lambda: d.tick() is None and rows(d.run_dir, "SELECT count(*) FROM steps WHERE stage = 1")[0][0] >= 2,
                 "two steps of the second stage")
        ask(d.run_dir, "while it runs", complete=False)
        d.kill("learner")
        ask(d.run_dir, "after a kill", complete=True)
        d.start("learner")
        wait_for(lambda: rows(d.run_dir, "SELECT state FROM run") == [("running",)], "the learner to be back")
        d.kill("learner", signal.SIGTERM)
        ask(d.run_dir, "after a clean stop", complete=True)
        d.start("learner")
        d.finish()
        ask(d.run_dir, "at the end", complete=True)
    finally:
        d.stop()


def long_reader(directory, rng):
    """A reader that holds its transaction open never delays the run."""
    d = Daemons(directory, actors=1)
    reader = None
    try:
        d.start_all()
        wait_for(lambda: os.path.exists(f"{d.run_dir}/run.db") and os.path.exists(f"{d.run_dir}/address"), "run.db")
        reader = subprocess.Popen(["sqlite3", "-readonly", f"{d.run_dir}/run.db"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        reader.stdin.write("BEGIN; SELECT count(*) FROM steps;\n")
        reader.stdin.flush()
        check(reader.stdout.readline().strip().isdigit(), "the reader's first answer")
        d.finish()
        equal(rows(d.run_dir, "SELECT state FROM run"), [("finished",)], "state of the run")
    finally:
        if reader:
            reader.kill()
            reader.wait()
        d.stop()


main(questions, long_reader)
