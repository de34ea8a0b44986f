"""Rewards of a running `cohort-reward-server --http` for TRL and verl; needs nothing but Python.

TRL:   GRPOTrainer(..., reward_funcs=[cohort_reward])     the dataset has the column "answer", or "task" with whole rows
verl:  custom_reward_function.path=trl_reward_client.py, custom_reward_function.name=compute_score
COHORT_URL (http://127.0.0.1:8080), COHORT_TOKEN (else ~/.config/cohort/http-token) and COHORT_SCORERS ("math format:weight=0.3",
else what the row calls for) say where and how. None, in TRL's words "not applicable", is the judge's own fault; never 0.
"""
import json
import os
import time
import urllib.error
import urllib.request


def cohort_reward(prompts, completions, answer=None, task=None, **columns):
    text = lambda chat: chat if isinstance(chat, str) else chat[-1]["content"]
    rows = task or [{"prompt": text(p) or "-", "answer": a} for p, a in zip(prompts, answer)]
    body = {"items": [{"task": row, "response": text(c)} for row, c in zip(rows, completions)]}
    if os.environ.get("COHORT_SCORERS"):
        body["scorers"] = os.environ["COHORT_SCORERS"].split()
    token = os.environ.get("COHORT_TOKEN") or open(os.path.expanduser("~/.config/cohort/http-token")).read().strip()
    request = urllib.request.Request(os.environ.get("COHORT_URL", "http://127.0.0.1:8080") + "/v1/score", json.dumps(body).encode(),
                                     {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
    for pause_s in (1, 2, 4, 8, 16, None):
        try:
            with urllib.request.urlopen(request, timeout=600) as reply:
                return [item["reward"] for item in json.load(reply)["items"]]
        except urllib.error.HTTPError as e:
            if e.code != 503 or pause_s is None:  # 503: too much to do, come again
                raise RuntimeError(f"cohort: {e} {e.read().decode(errors='replace')}") from None
            time.sleep(pause_s)


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    row = ground_truth if isinstance(ground_truth, dict) else {"prompt": "-", "answer": ground_truth}
    reward = cohort_reward(["-"], [solution_str], task=[row])[0]
    if reward is None:
        raise RuntimeError(f"cohort could not judge a solution of {data_source}")
    return reward
