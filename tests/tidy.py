"""The layout and the written rules as a test: who may include whom, who may use which library, sizes, leftovers.

Prints every finding as FILE:LINE: what, and exits 1 when there is one.
"""
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Room -> rooms whose headers it may include (itself always). Tests may include every header.
MAY_USE = {
    "common/base": [],
    "proto": ["common/base"],
    "common/net": ["common/base", "proto"],
    "common/tensor": ["common/base"],
    "common/text": ["common/base"],
    "common/model": ["common/base", "common/tensor"],
    "common/recipe": ["common/base", "common/model", "common/text", "proto"],
    "common/daemon": ["common/base", "common/net", "common/recipe", "proto"],
    "reward-server/box": ["common/base"],
    "reward-server/scoring": ["common/base", "common/text", "proto", "reward-server/box"],
    "reward-server/judge": ["common/base", "common/recipe", "common/text", "proto", "reward-server/scoring"],
    "reward-server/http": ["common/base", "common/net", "common/text", "proto", "reward-server/box", "reward-server/judge",
                           "reward-server/scoring"],
    "reward-server": ["common/base", "common/daemon", "common/net", "common/recipe", "proto", "reward-server/box",
                      "reward-server/http", "reward-server/scoring"],
    "actor": ["common/base", "common/daemon", "common/model", "common/net", "common/recipe", "common/tensor", "proto"],
    "learner": ["common/base", "common/daemon", "common/model", "common/net", "common/recipe", "common/tensor",
                "common/text", "proto", "reward-server/scoring"],
    "cli": ["common/base", "common/daemon", "common/model", "common/recipe", "common/text", "proto",
            "reward-server/box", "reward-server/judge", "reward-server/scoring"],
}

# Headers of plain constants, for every room.
FOR_ALL = {"proto/limits.h"}

# Library -> (pattern of its use, files that may).
ONLY_IN = {
    "nanomsg": (r"\bnn_[a-z]+\(|<nanomsg/", r"common/net/bus|tests/net/"),
    "cblas": (r"\bcblas_|<cblas", r"bench/blas\.c"),
    "libsodium": (r"\bcrypto_|<sodium", r"common/base/hash\.c|common/base/hash_"),
    "libseccomp": (r"\bseccomp_[a-z]+\(|<seccomp\.h", r"reward-server/box/filter\.c"),
    "libmicrohttpd": (r"\bMHD_|<microhttpd", r"reward-server/http/(http|http_impl|exchange)\."),
    "SQLite": (r"\bsqlite3_[a-z]|<sqlite3", r"learner/(store|sql)|cli/rundb|tests/learner/|tests/cli/fake_run"),
    "protobuf-c": (r"\bprotobuf_c_|<protobuf-c|cohort\.pb-c", r"proto/(codec|pack|unpack)|tests/net/"),
    "PCRE2": (r"\bpcre2_[a-z]|<pcre2", r"common/text/split\.c"),
    "utf8proc": (r"\butf8proc_[a-z]|<utf8proc", r"common/text/tokenizer\.c|tests/fuzz/tokenizer_fuzz\.c"),
    "FLINT": (r"\b(acb|arb|mag|fmpz|flint)_[a-z_0-9]+\(|<(acb|arb|flint/)", r"reward-server/scoring/math/ball"),
    "libm in a kernel": (r"(?<![a-z_0-9])(expf?|logf?|powf?|sinf?|cosf?|tanhf?)\(", r"(?!common/(tensor|model)/)"),
    "a global random number or clock": (r"(?<![a-z_0-9>.])(s?rand|random|drand48|time)\(", r"common/base/clock\.c"),
}

# Tests that inject faults at a pace: they wait for no condition.
PACED = {"tests/box/kill_test.c", "tests/learner/hub_fake.c", "tests/learner/hub_kill_test.c", "tests/learner/hub_service_test.c"}

LINES_MAX = 600
COLUMNS_MAX = 100
FUNCTION_MAX = 70


def sources():
    for top, dirs, files in os.walk(ROOT):
        dirs[:] = sorted(d for d in dirs if not d.startswith((".", "build")) and not d.endswith("-run"))
        for name in sorted(files):
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(top, name), ROOT)


def room(path):
    return max((r for r in MAY_USE if path.startswith(r + "/")), key=len, default=None)


def check_includes(path, lines, findings):
    mine = room(path)
    if mine is None:
        return
    for i, line in enumerate(lines, 1):
        m = re.match(r'#include "([^"]+)"', line)
        theirs = room(m.group(1)) if m and m.group(1) not in FOR_ALL else None
        if theirs and theirs != mine and theirs not in MAY_USE[mine]:
            findings.append(f"{path}:{i}: {mine} may not include {m.group(1)}")


def without_comments(text):
    blank = lambda m: re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', lambda m: m.group(0) if m.group(0)[0] == '"' else blank(m), text,
                  flags=re.S)


def check_libraries(path, lines, findings):
    for what, (pattern, allowed) in ONLY_IN.items():
        if re.match(allowed, path) or (what.startswith(("libm", "a global")) and path.startswith("tests/")):
            continue
        for i, line in enumerate(lines, 1):
            if re.search(pattern, re.sub(r'"(\\.|[^"\\])*"', '""', line)):
                findings.append(f"{path}:{i}: {what} is not used here: {line.strip()[:60]}")


def check_sizes(path, text, findings):
    lines = text.split("\n")
    if len(lines) - 1 > LINES_MAX:
        findings.append(f"{path}:1: {len(lines) - 1} lines, at most {LINES_MAX}")
    for i, line in enumerate(lines, 1):
        if len(line) > COLUMNS_MAX:
            findings.append(f"{path}:{i}: {len(line)} columns, at most {COLUMNS_MAX}")
    start = None
    for i, line in enumerate(lines, 1):
        if line == "{" or (re.match(r"[a-z].*\) *\{$", line) and not line.startswith("struct")):
            start = i
        elif line == "}" and start is not None:
            if i - start - 1 > FUNCTION_MAX:
                findings.append(f"{path}:{start}: a function of {i - start - 1} lines, at most {FUNCTION_MAX}")
            start = None


def check_leftovers(path, text, findings):
    if not text.startswith("/*"):
        findings.append(f"{path}:1: no opening comment that says what the file is for")
    for i, line in enumerate(text.split("\n"), 1):
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            findings.append(f"{path}:{i}: a leftover mark: {line.strip()[:60]}")
        if re.match(r"\s*//", line):
            findings.append(f"{path}:{i}: comments are /* */")
        if path.startswith("tests/") and re.match(r'#include "[^"]+\.c"', line):
            findings.append(f"{path}:{i}: a test includes headers only")
        if path not in PACED and re.search(r"(?<![a-z_])(u?sleep|nanosleep)\(", line):
            findings.append(f"{path}:{i}: nothing sleeps to wait for a condition")


def check_format(paths, findings):
    if not shutil.which("clang-format"):
        print("skip: clang-format is not installed")
        return
    p = subprocess.run(["clang-format", "--dry-run", "--Werror", *paths], cwd=ROOT, capture_output=True, text=True)
    for line in p.stderr.split("\n"):
        if "clang-format-violations" in line:
            findings.append(line.split(" error:")[0] + " not as clang-format writes it")


def main():
    findings = []
    paths = list(sources())
    for path in paths:
        text = open(os.path.join(ROOT, path), encoding="utf-8").read()
        code = without_comments(text).split("\n")
        check_includes(path, text.split("\n"), findings)
        check_libraries(path, code, findings)
        check_sizes(path, text, findings)
        check_leftovers(path, text, findings)
    check_format(paths, findings)
    print("\n".join(findings))
    print(f"{len(paths)} files, {len(findings)} findings")
    sys.exit(1 if findings or not paths else 0)


main()
