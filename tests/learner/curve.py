#!/usr/bin/env python3
"""Writes curve.json: ten AdamW steps of three tiny models, computed by PyTorch in float64: loss, gradient norm and, at the
end, the sum of every tensor.

The models are those of tests/model/golden.py with weights a quarter as large, the optimiser is torch.optim.AdamW. Made with
Python 3.11 and the torch version named in the file.

    python3 curve.py > curve.json
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"))

import torch
from golden import FAMILIES, SHAPE, logits, numbers, tensors, weight

STEPS, LR, BETAS, EPS, DECAY, CLIP = 10, 5e-3, (0.9, 0.95), 1e-6, 0.1, 1.0
ALLOWED = 18
# Two completions each: prompts of 5, 64 and 66 tokens, so that one ends at a page and one after it.
GROUPS = [dict(prompt=[(5 * i * i + 3 * i + g) % ALLOWED for i in range(length)],
               completions=[[(i * (g + 2) + c) % ALLOWED for i in range(6 + c)] for c in range(2)])
          for g, length in enumerate((5, 64, 66))]


def mean_loss(w, c):
    total, count = 0, 0
    for group in GROUPS:
        for completion in group["completions"]:
            z = logits(w, c, group["prompt"] + completion)[len(group["prompt"]) - 1:-1]
            rows = z[:, :ALLOWED].log_softmax(-1)
            total = total - rows[torch.arange(len(completion)), torch.tensor(completion)].sum()
            count += len(completion)
    return total / count


def curve(family, options):
    c = dict(SHAPE, **options)
    w = {}
    for i, (name, shape) in enumerate(tensors(family, c)):
        x = weight(i, shape) / 4
        w[name] = (1 + x if name.endswith("norm.weight") else x).requires_grad_()
    groups = [dict(params=[t for t in w.values() if (t.dim() == 2) == matrices], weight_decay=DECAY if matrices else 0)
              for matrices in (True, False)]
    adamw = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS)
    losses, norms = [], []
    for _ in range(STEPS):
        adamw.zero_grad()
        loss = mean_loss(w, c)
        loss.backward()
        norm = torch.sqrt(sum(t.grad.pow(2).sum() for t in w.values()))
        for t in w.values():
            t.grad *= min(1, CLIP / norm)
        adamw.step()
        losses.append(loss)
        norms.append(norm)
    return dict(model_type=family, config=dict(c, model_type=family), loss=numbers(torch.stack(losses)),
                norm=numbers(torch.stack(norms)), sums={name: float(f"{t.sum().item():.9g}") for name, t in w.items()})


curves = [curve(family, options) for family, options in FAMILIES]
print(json.dumps(dict(torch=torch.__version__, lr=LR, beta1=BETAS[0], beta2=BETAS[1], eps=EPS, decay=DECAY, clip=CLIP,
                      allowed=ALLOWED, groups=GROUPS, curves=curves), separators=(",", ":")).replace('{"model_type"', '\n{"model_type"')
      .replace(',"groups"', ',\n"groups"').replace(',"sums"', ',\n"sums"'))
