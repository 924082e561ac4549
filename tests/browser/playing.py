"""What the playground's tests share: what stands on the page, and what Python computes for the same episode."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

import heartpole_jax as hp
from heartpole_jax.playground import contents
from heartpole_jax.rollout import everything, rollout

MENU = Path(hp.__file__).parent / "envs" / "menus" / "heartpole_v1.toml"
V0, V1 = "HeartPole-v0", "HeartPole-v1"
KEYS = {V0: "wcbs", V1: "wcbsnedk"}


def text(page, selector):
    return page.locator(selector).inner_text()


def number(words):
    return float(words.replace("\N{MINUS SIGN}", "-").replace(",", ""))


def board(page):
    """The table of players, as rows of [score or work, expected attacks, return]."""
    return [
        [number(cell) for cell in row.locator("td").all_inner_texts()] for row in page.locator("#board tbody tr").all()
    ]


def returns(name, policy, seed, changes):
    """The return of a whole episode in Python, each heart attack counted by its probability; and its actions."""
    env = hp.make(name)
    params = type(env.default_params)(expected_penalty=1.0, **changes)
    found = rollout(policy, jax.random.key(seed), params, env=env, num_envs=1, record=everything)
    done = np.asarray(found.records.done[:, 0])
    steps = int(np.argmax(done)) + 1
    return float(found.totals[0]), np.asarray(found.records.action[:steps, 0])


def fewer_actions(folder):
    """A policy for HeartPole-v1's menu without exercise: the shipped network without its last action."""
    rows = MENU.read_text().split("\n[[action]]\n")[1:]
    menu = folder / "few.toml"
    menu.write_text("".join(f"[[action]]\n{row}\n" for row in rows if 'name = "exercise"' not in row))
    shipped, name = contents.shipped(V1), f"{V1}:{menu}"
    last = {f"params/Dense_2/{key}": shipped.weights[f"params/Dense_2/{key}"][..., :7] for key in ("kernel", "bias")}
    weights = {**shipped.weights, **last}
    return dataclasses.replace(shipped, env=name, num_actions=7, weights=weights, menu=hp.make(name).digest)
