# Looks at a program without running it: what the interpreter refuses and what pyflakes finds. Prints
# {"findings": [[line, is an error, text], ...]} or {"missing": what is not installed}.
import ast, json, sys, warnings

# What fails when it is reached. Everything else that pyflakes says is untidy.
ERRORS = {"UndefinedName", "UndefinedLocal", "UndefinedExport", "DuplicateArgument", "ReturnOutsideFunction",
          "YieldOutsideFunction", "ContinueOutsideLoop", "BreakOutsideLoop", "DefaultExceptNotLast",
          "TwoStarredExpressions", "TooManyExpressionsInStarredAssignment", "ForwardAnnotationSyntaxError",
          "InvalidPrintSyntax", "RaiseNotImplemented", "IfTuple", "AssertTuple"}


def is_error(name):
    return name in ERRORS or name.startswith(("StringDotFormat", "PercentFormat"))


def look(checker, source):
    try:
        tree = ast.parse(source, "program.py")
        compile(tree, "program.py", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        return [[getattr(e, "lineno", None) or 1, True, "%s: %s" % (type(e).__name__, e)]]
    found = checker.Checker(tree, "program.py").messages
    return sorted([m.lineno, is_error(type(m).__name__), m.message % m.message_args] for m in found)


def main():
    sys.path.append("/usr/lib/python3/dist-packages")
    warnings.simplefilter("ignore")
    try:
        from pyflakes import checker
    except ImportError:
        print(json.dumps({"missing": "pyflakes (package python3-pyflakes)"}))
        return
    with open("/box/program.py", "rb") as f:
        source = f.read()
    print(json.dumps({"findings": look(checker, source)}))


main()
