"""Makes trigrams.inc: the character trigrams that tell the languages of the Latin script apart.

Usage: trigrams.py en=WORDLIST de=WORDLIST ... > trigrams.inc, in the order of enum tongue, e.g. with the lists of
Debian's wamerican, wngerman, wfrench, wspanish, witalian, wportuguese and wdutch.

A trigram t of a word in language L weighs log2(P(t | L) / mean of P(t | any)), with '_' for the ends of the word. Kept are
those of the largest P(t | L) * weight; the weight is written as a digit, in halves of a bit.
"""
import collections
import math
import sys

KEPT = 320
COLUMNS = 92


def trigrams(word):
    word = f"_{word}_"
    return (word[i:i + 3] for i in range(len(word) - 2))


def shares(path):
    counts = collections.Counter()
    for line in open(path, encoding="utf-8"):
        word = line.strip()
        if word.isalpha() and len(word) > 2:  # names too: they are written like the language
            counts.update(trigrams(word.lower()))
    total = sum(counts.values())
    return {t: n / total for t, n in counts.items()}


def main():
    named = [arg.split("=", 1) for arg in sys.argv[1:]]
    by_language = [(name, shares(path)) for name, path in named]
    print("/* trigrams.inc: made by trigrams.py, which says how. */")
    for name, mine in by_language:
        mean = {t: sum(p.get(t, 1e-7) for _, p in by_language) / len(by_language) for t in mine}
        weight = {t: math.log2(p / mean[t]) for t, p in mine.items()}
        best = sorted(mine, key=lambda t: (-mine[t] * weight[t], t))[:KEPT]
        text = "".join(f"{t}{max(1, min(9, round(2 * weight[t])))}" for t in sorted(best))
        print(f"/* {name} */")
        for i in range(0, len(text), COLUMNS):
            end = "," if i + COLUMNS >= len(text) else ""
            print(f'"{text[i:i + COLUMNS]}"{end}')


main()
