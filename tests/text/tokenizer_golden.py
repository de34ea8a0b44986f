#!/usr/bin/env python3
"""Writes tokenizer_golden.json: what Hugging Face `tokenizers` makes of our tokenizer.json.

Needs a built tokenizer_make (tests/text/tokenizer_make.c) and `pip install tokenizers`:

    tests/text/tokenizer_golden.py BUILD/tests/text/tokenizer_make > tests/text/tokenizer_golden.json

The committed file was made with Python 3.11.7 and tokenizers 0.23.3.
"""
import json
import random
import subprocess
import sys

import tokenizers

ADDED = ["<|end|>", "<think>", "</think>", "<answer>", "</answer>", "steps", "pairs", "guess", "step", "s"]
CHARACTERS = "0123456789= +-\n\"\\/<>abcdefghijklmnopqrtuvwxyz|é€\U0001d54f"


def texts(rng):
    yield from ["", "31415926=", "<think>steps34898435</think><answer>5</answer>", "<think", "stepsteps", "ss",
                "<<think>>", "</answer></answer", "é€\U0001d54f", "a b\n\"c\"\\", "<|end|>0<|end|>"]
    pieces = ADDED + list(CHARACTERS)
    for _ in range(200):
        yield "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 30)))


def main():
    make = [sys.argv[1], CHARACTERS] + ADDED
    text = subprocess.run(make, check=True, capture_output=True, text=True).stdout
    tok = tokenizers.Tokenizer.from_str(text)
    cases = []
    for s in texts(random.Random(1)):
        ids = tok.encode(s, add_special_tokens=False).ids
        assert tok.decode(ids, skip_special_tokens=False) == s, s
        cases.append({"text": s, "ids": ids})
    head = {"made_with": "tokenizers " + tokenizers.__version__, "characters": CHARACTERS, "added": ADDED,
            "tokenizer": json.loads(text)}
    print(json.dumps(head, ensure_ascii=False)[:-1] + ', "cases": [')
    print(",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "]}")


main()
