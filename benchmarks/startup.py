"""Prints as JSON what a fresh process waits for: imports, and compiling a rollout. Started by rollouts.py."""

import itertools
import json
import time

clock = [time.perf_counter()]

import jax  # noqa: E402

clock.append(time.perf_counter())

import chex  # noqa: E402, F401  (what heartpole_jax needs beside jax)

clock.append(time.perf_counter())

import heartpole_jax as hp  # noqa: E402

clock.append(time.perf_counter())


def rollout():
    """One episode of 16,384 patients."""
    started = time.perf_counter()
    jax.block_until_ready(hp.rollout(hp.policies.uniformly_random(), jax.random.key(0), num_envs=16_384))
    return time.perf_counter() - started


jax.block_until_ready(jax.random.key(0))  # starting the backend is not ours
first, *later = [rollout() for _ in range(4)]
names = ("import_jax_s", "import_chex_s", "import_heartpole_jax_s")
waits = dict(zip(names, [after - before for before, after in itertools.pairwise(clock)], strict=True))
print(json.dumps(waits | {"compile_s": first - min(later)}))
