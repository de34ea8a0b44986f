#!/usr/bin/env python3
"""Writes bytes_golden.json: what Hugging Face `tokenizers` makes of texts with byte-level BPE of the published families.

The pre-tokenizers and normalizers are those of the families; vocabularies are trained here on a few texts, so that they are small.
Needs `pip install tokenizers`:

    tests/text/bytes_golden.py > tests/text/bytes_golden.json

The committed file was made with Python 3.11.7 and tokenizers 0.23.3.
"""
import json
import random
import sys

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
DEEPSEEK = (r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
            r"\s*[\r\n]+|\s+(?!\S)|\s+")


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def by_bytes(cuts=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cuts)


FAMILIES = {
    "gpt2": (None, by_bytes(True)),
    "qwen2": (normalizers.NFC(), pre_tokenizers.Sequence([split(QWEN2), by_bytes()])),
    "llama3": (None, pre_tokenizers.Sequence([split(LLAMA3), by_bytes()])),
    "smollm": (None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), by_bytes(True)])),
    "deepseek": (normalizers.Sequence([]), pre_tokenizers.Sequence([*(split(p) for p in DEEPSEEK), by_bytes()])),
}
WORDS = ["the", " the", "The sum", " of", " 2 digits", "it's", "I'LL", " we'd", "don't", "  ", "   \n", "\n\n", "\r\n", "\t", " \n x", "12", "1234567",
         "3.14", "x^2+y", "\\frac{1}{2}", "```python\n", "def f(x):\n    return x", "naïve", "nai\u0308ve", "e\u0301\u0301", "ﬁ", "Ω", "가", "각",
         "漢字かなカナ", "日本2024年", "привет", "مرحبا", "हिन्दी", "\u00a0", "\u3000", "\u0085", "\u200b", "\ufeff", "😀👍🏽", "🇩🇪", "١٢٣", "Ⅻ", "½", "—", "…", "“q”",
         "<think>", "</think>", "<think", "<|im_end|>", "<|im_end|", "ab", "abc", "bc", "a", "c", "\u0000", "\u007f", "!!!", "?!a", " ''", "'s", "_a_b", "Å", "A\u030a"]
ADDED = [AddedToken("<|endoftext|>", special=True), AddedToken("<|im_end|>", special=True), AddedToken("<think>", normalized=False),
         AddedToken("</think>", normalized=False), AddedToken("ab", normalized=True), AddedToken("bc", normalized=False)]


def texts(rng):
    yield from ["", " ", "a" * 300, " " * 70 + "x", "ab" * 40, "\n" * 33, "<think>1+1</think>2<|im_end|>", "abc", "ababc", "Å", "A\u030a and Å"]
    yield from WORDS
    for _ in range(120):
        yield "".join(rng.choice(WORDS) for _ in range(rng.randrange(2, 12)))
    for _ in range(40):
        yield "".join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0x80, 0x800), rng.randrange(0x800, 0xd800), rng.randrange(0x1f300, 0x1f700)]))
                      for _ in range(rng.randrange(1, 12)))


def known(text):
    """Whether the Unicode tables of all agree: characters that were assigned by Unicode 14 and are not private."""
    import unicodedata
    return all(unicodedata.category(c) not in ("Cn", "Co") for c in text)


def family(name, rng):
    normalizer, cut = FAMILIES[name]
    tok = tokenizers.Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    if normalizer is not None:
        tok.normalizer = normalizer
    tok.pre_tokenizer, tok.decoder = cut, decoders.ByteLevel()
    learn = ["".join(rng.choice(WORDS) for _ in range(8)) for _ in range(400)]
    tok.train_from_iterator(learn, trainers.BpeTrainer(vocab_size=440, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
                                                       special_tokens=ADDED[:1]))
    tok.add_tokens(ADDED[1:])
    file = json.loads(tok.to_str())
    if name == "gpt2":  # as its file, which is the oldest, has it
        del file["model"]["type"]
        file["model"]["merges"] = [" ".join(m) for m in file["model"]["merges"]]
    elif name == "llama3":  # words that no merges lead to, which are found whole
        vocab = file["model"]["vocab"]
        for added in file["added_tokens"]:
            added["id"] += 2 * (added["id"] >= len(vocab))
        vocab["Ġprivate"], vocab["zqz"] = len(vocab), len(vocab) + 1
    tok = tokenizers.Tokenizer.from_str(json.dumps(file))
    cases = []
    for s in [*texts(rng), " private zqz zqzz privately"]:
        if known(s):
            ids = tok.encode(s, add_special_tokens=False).ids
            cases.append({"text": s, "ids": ids, "back": tok.decode(ids, skip_special_tokens=False)})
    return {"name": name, "tokenizer": file, "cases": cases}


def main():
    rng = random.Random(1)
    print('{"made_with": "tokenizers %s", "families": [' % tokenizers.__version__)
    print(",\n".join(json.dumps(family(name, rng), ensure_ascii=True) for name in FAMILIES) + "]}")


main()
