#!/usr/bin/env python3
"""Writes golden.json: values and gradients of three tiny models, computed by PyTorch in float64.

The models are written here in plain torch operations, the way Hugging Face's Llama, Qwen2 and Qwen3
are; where transformers can be imported and knows a family, its own model must agree before anything
is written. Made with Python 3.11, torch 1.13.1 (Debian 12) and transformers 4.37.2, which
agreed for Llama and Qwen2; it does not know Qwen3.

    python3 golden.py > golden.json
"""
import json
import math
import sys

import torch

torch.set_default_dtype(torch.float64)

SHAPE = dict(vocab_size=19, hidden_size=8, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, intermediate_size=12, max_position_embeddings=128,
             rms_norm_eps=1e-5, rope_theta=10000.0)
FAMILIES = [
    ("llama", dict(head_dim=2, tie_word_embeddings=False)),
    ("qwen2", dict(head_dim=2, tie_word_embeddings=True)),
    ("qwen3", dict(head_dim=6, tie_word_embeddings=False)),
]
PROMPT = [(7 * i * i + 3 * i + 1) % 19 for i in range(66)]
COMPLETIONS = [[4, 0, 17, 7, 7], [4, 11, 2]]
TEMPERATURE = 0.9
ALLOWED = 18  # the last id stands for padding of the vocabulary


def tensors(family, c):
    """Names and shapes in the order of the parameter table."""
    hidden, inner = c["hidden_size"], c["intermediate_size"]
    q = c["num_attention_heads"] * c["head_dim"]
    kv = c["num_key_value_heads"] * c["head_dim"]
    yield "model.embed_tokens.weight", (c["vocab_size"], hidden)
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        yield p + "input_layernorm.weight", (hidden,)
        for name, rows in (("q", q), ("k", kv), ("v", kv)):
            yield p + f"self_attn.{name}_proj.weight", (rows, hidden)
            if family == "qwen2":
                yield p + f"self_attn.{name}_proj.bias", (rows,)
        if family == "qwen3":
            yield p + "self_attn.q_norm.weight", (c["head_dim"],)
            yield p + "self_attn.k_norm.weight", (c["head_dim"],)
        yield p + "self_attn.o_proj.weight", (hidden, q)
        yield p + "post_attention_layernorm.weight", (hidden,)
        yield p + "mlp.gate_proj.weight", (inner, hidden)
        yield p + "mlp.up_proj.weight", (inner, hidden)
        yield p + "mlp.down_proj.weight", (hidden, inner)
    yield "model.norm.weight", (hidden,)
    if not c["tie_word_embeddings"]:
        yield "lm_head.weight", (c["vocab_size"], hidden)


def weight(index, shape):
    """Numbers that C makes too, exact in fp32: multiples of 1/4096 in [-1, 1), about 1 for a norm."""
    count = math.prod(shape)
    x = [((k * 2654435761 + index * 40503 + 12345) % 2**32) // 2**19 for k in range(count)]
    x = torch.tensor([v / 4096.0 - 1.0 for v in x])
    return x.reshape(shape)


def norm(x, g, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * g


def rope(x, theta):
    """x: heads x T x D; half-split pairs."""
    T, D = x.shape[1:]
    inv = theta ** (-torch.arange(0, D, 2) / D)
    angle = torch.arange(T)[:, None] * inv[None, :]
    cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
    turned = torch.cat([-x[..., D // 2:], x[..., :D // 2]], -1)
    return x * cos + turned * sin


def attention(w, p, c, h):
    T, D, H, J = h.shape[0], c["head_dim"], c["num_attention_heads"], c["num_key_value_heads"]

    def heads(kind, n):
        y = h @ w[p + f"self_attn.{kind}_proj.weight"].T
        if p + f"self_attn.{kind}_proj.bias" in w:
            y = y + w[p + f"self_attn.{kind}_proj.bias"]
        y = y.reshape(T, n, D)
        if p + f"self_attn.{kind}_norm.weight" in w:
            y = norm(y, w[p + f"self_attn.{kind}_norm.weight"], c["rms_norm_eps"])
        return y.transpose(0, 1)

    q, k = rope(heads("q", H), c["rope_theta"]), rope(heads("k", J), c["rope_theta"])
    v = heads("v", J).repeat_interleave(H // J, 0)
    scores = q @ k.repeat_interleave(H // J, 0).transpose(1, 2) / math.sqrt(D)
    scores = scores.masked_fill(torch.ones(T, T).triu(1).bool(), -math.inf)
    out = scores.softmax(-1) @ v
    return out.transpose(0, 1).reshape(T, H * D) @ w[p + "self_attn.o_proj.weight"].T


def logits(w, c, ids):
    eps = c["rms_norm_eps"]
    x = w["model.embed_tokens.weight"][torch.tensor(ids)]
    for layer in range(c["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        x = x + attention(w, p, c, norm(x, w[p + "input_layernorm.weight"], eps))
        n = norm(x, w[p + "post_attention_layernorm.weight"], eps)
        gate = torch.nn.functional.silu(n @ w[p + "mlp.gate_proj.weight"].T)
        x = x + (gate * (n @ w[p + "mlp.up_proj.weight"].T)) @ w[p + "mlp.down_proj.weight"].T
    x = norm(x, w["model.norm.weight"], eps)
    return x @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T


def check_transformers(family, c, w):
    """The family's own code on the same weights, where it is installed."""
    try:
        import transformers
        make = {"llama": ("LlamaConfig", "LlamaForCausalLM"), "qwen2": ("Qwen2Config", "Qwen2ForCausalLM"),
                "qwen3": ("Qwen3Config", "Qwen3ForCausalLM")}[family]
        config, model = getattr(transformers, make[0]), getattr(transformers, make[1])
    except (ImportError, AttributeError) as problem:
        print(f"{family}: not checked against transformers: {problem}", file=sys.stderr)
        return
    theirs = model(config(**c))
    missing, unexpected = theirs.load_state_dict({k: v.detach() for k, v in w.items()}, strict=False)
    assert not unexpected and all(k == "lm_head.weight" for k in missing), (missing, unexpected)
    theirs.tie_weights()
    ids = PROMPT + COMPLETIONS[0]
    with torch.no_grad():
        off = (theirs.double()(torch.tensor([ids])).logits[0] - logits(w, c, ids)).abs().max().item()
    # transformers keeps its rotation tables in fp32.
    assert off < 1e-4, off
    print(f"{family}: transformers {transformers.__version__} agrees to {off:.1e}", file=sys.stderr)


def numbers(t):
    return [float(f"{v:.9g}") for v in t.detach().reshape(-1).tolist()]


def case(family, options):
    c = dict(SHAPE, **options)
    w = {name: weight(i, shape).requires_grad_() for i, (name, shape) in enumerate(tensors(family, c))}
    for name in w:
        if name.endswith("norm.weight"):
            w[name] = (1 + w[name].detach() / 4).requires_grad_()
    check_transformers(family, c, w)
    logp, entropy, loss, first_logits = [], [], 0, None
    for i, completion in enumerate(COMPLETIONS):
        z = logits(w, c, PROMPT + completion)[len(PROMPT) - 1:-1]
        if first_logits is None:
            first_logits = numbers(z[0])
        rows = (z[:, :ALLOWED] / TEMPERATURE).log_softmax(-1)
        chosen = rows[torch.arange(len(completion)), torch.tensor(completion)]
        spread = -(rows.exp() * rows).sum(-1)
        logp += numbers(chosen)
        entropy += numbers(spread)
        for j in range(len(completion)):
            loss = loss + (1 + i - 0.5 * j) * chosen[j] + 0.25 * (j - i) * spread[j]
    loss.backward()
    return dict(model_type=family, config=dict(c, model_type=family), prompt=PROMPT, completions=COMPLETIONS,
                temperature=TEMPERATURE, allowed=ALLOWED, logits=first_logits, logp=logp, entropy=entropy,
                gradients={name: numbers(t.grad) for name, t in w.items()})


def main():
    cases = [case(family, options) for family, options in FAMILIES]
    print(json.dumps(dict(torch=torch.__version__, cases=cases), separators=(",", ":")).replace(
        '{"model_type"', '\n{"model_type"').replace('"gradients"', '\n"gradients"').replace('],"', '],\n"'))


if __name__ == "__main__":
    main()
