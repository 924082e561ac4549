"""What gpu.py measures: each part a function of the sizes and of the rows so far, which yields rows as they come."""

import dataclasses
import functools
import importlib
import itertools
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import gpu_limit
import jax
import jax.numpy as jnp
import numpy as np
from gpu_timing import Cell, measure, row

import heartpole_jax as hp
from agents import dqn
from agents.common import networks
from agents.dqn import agent
from agents.dqn.config import DQNConfig, Hyperparams
from agents.runs import loop, recipes, scoring
from heartpole_jax import rollout, threefry
from heartpole_jax.envs import heartpole_v0, heartpole_v1, registry
from heartpole_jax.platforms import ByPlatform
from heartpole_jax.policies import q_network

rollout_module = importlib.import_module(rollout.__module__)
TRACES = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    patients: tuple[int, ...] = (2_048, 16_384, 131_072, 1_048_576, 8_388_608)
    varied: int = 1_048_576  # patients of a rollout with other constants
    varied_trials: int = 1_024  # seeds of the DQN with other constants
    num_steps: int = 1_000
    loop_steps: int = 200  # of the usual loop
    transitions: int = 100_000
    copy_bytes: int = 2**32
    populations: tuple[int, ...] = (1, 256, 1_024, 4_096, 16_384)
    iterations: int = 512  # of the DQN, a timing
    seeds: int = 256  # of the recipe
    recipe_steps: int | None = None  # the recipe's own
    episodes: int = 1_024
    sequences: int = 16_384  # of noise, for gradients
    gradient_steps: int = 1_000
    seconds: float = 0.2  # a timing, at least


FULL = Sizes()
QUICK = Sizes(
    patients=(128,), varied=128, varied_trials=2, num_steps=8, loop_steps=8, transitions=512, copy_bytes=2**20,
    populations=(2,), iterations=16, seeds=2, recipe_steps=8_192, episodes=8, sequences=64, gradient_steps=5,
    seconds=0.001,
)  # fmt: skip


def device(sizes: Sizes, rows: list) -> Iterator[dict]:
    """Memory, and what a copy moves: each byte is read and written."""
    memory = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    yield row("memory that JAX may use", None, memory and memory / 2**30, "GiB")
    size = sizes.copy_bytes
    make = lambda: (jnp.zeros(size // 4, jnp.float32),)
    yield from measure(
        [Cell("copy, read and written", size, lambda x: x + 1, make, 2 * size / 1e9, "GB/s")], sizes.seconds
    )


def parity(sizes: Sizes, rows: list) -> Iterator[dict]:
    """The golden traces and random transitions, against the CPU's in this process; noise bit for bit."""
    there, here = jax.devices()[0], jax.devices("cpu")[0]

    def on(device, function, *args):
        with jax.default_device(device):
            return jax.device_get(jax.jit(function)(*jax.device_put(args, device)))

    def draw(patient):
        key = threefry.key_at(threefry.fold_in(jax.random.key(7), 0), patient, patient)
        return hp.sample_noise(key), threefry.random_int(key, 4)

    patients = jnp.arange(sizes.transitions, dtype=jnp.uint32)
    noise, same = on(here, jax.vmap(draw), patients), on(there, jax.vmap(draw), patients)
    different = sum(int(np.sum(x != y)) for x, y in zip(jax.tree.leaves(noise), jax.tree.leaves(same), strict=True))
    yield row("noise that differs from the CPU's", sizes.transitions, different, "numbers; target 0")
    for name, module in (("HeartPole-v0", heartpole_v0), ("HeartPole-v1", heartpole_v1)):
        env = hp.make(name)
        with jax.default_device(here):
            visited = rollout(
                _random_policy(env), jax.random.key(1), env=env, num_envs=-(-sizes.transitions // sizes.num_steps),
                num_steps=sizes.num_steps, record=lambda t: (t.state, t.action),
            ).records  # fmt: skip
            state, action = jax.tree.map(lambda x: x.reshape(-1)[: sizes.transitions], visited)
        step = jax.vmap(functools.partial(_observed, env))
        expected, info = on(here, step, state, action, noise[0])
        obs, again = on(there, step, state, action, noise[0])
        flips = info.heart_attack != again.heart_attack
        error = relative_error(obs[~flips], expected[~flips])
        yield row(f"{name}, one step from random states: error", len(flips), error, "of the largest; target 1e-5")
        yield row(
            f"{name}, one step: heart attacks that differ", len(flips), int(flips.sum()), "of rounding at the edge"
        )
        with np.load(TRACES / f"{name.lower().replace('-', '_')}_traces.npz") as data:
            traces = {key: data[key] for key in ("wake_up", "actions", "noise", "states", "heart_attacks")}
        given = [jnp.asarray(traces[key], jnp.float32) for key in ("wake_up", "noise")]
        states, attacks = on(there, _replay(module), given[0], traces["actions"], given[1])
        whole = (attacks == traces["heart_attacks"]).all(axis=1)
        error = relative_error(states[whole], traces["states"][whole])
        yield row(f"{name}, golden traces in float32: error", int(whole.sum()), error, "of the largest; target 1e-5")


def _random_policy(env: hp.Environment) -> hp.Policy:
    """Every action of `env` with the same probability."""
    sample = lambda key: threefry.random_int(key, env.num_actions)
    return hp.Policy(act=lambda params, carry, obs, action: (action, carry), sample=sample)


def _observed(env: hp.Environment, state: Any, action: jax.Array, noise: hp.Noise) -> tuple:
    """What is seen after a step, and its info."""
    _, obs, _, _, info = env.transition_info(state, action, noise, env.default_params)
    return obs, info


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest error, in units of each variable's largest value; variables along the last axis."""
    axes = tuple(range(expected.ndim - 1))
    return float(np.max(np.abs(found - expected).max(axis=axes) / np.maximum(np.abs(expected).max(axis=axes), 1e-30)))


def _replay(module: Any) -> Callable:
    names = ("alertness", "hypertension", "intoxication", "heart_attack")

    def episode(wake_up, actions, noise):
        def step(state, inputs):
            action, values = inputs
            noise = hp.Noise(**dict(zip(names, values, strict=True)))
            state, obs, _, _, info = module.transition_info(state, action, noise)
            return state, (obs, info.heart_attack)

        start = module.initial_state(wake_up)
        _, (obs, attacks) = jax.lax.scan(step, start, (actions, noise))
        return jnp.concatenate([module.observe(start)[None], obs]), attacks

    return jax.vmap(episode)


def _key() -> tuple:
    return (jax.random.key(0),)


def _rollout(name: str, num_envs: int, num_steps: int, what: str) -> Cell:
    env = hp.make(name)
    policy = _random_policy(env)
    run = lambda key: rollout(policy, key, env=env, num_envs=num_envs, num_steps=num_steps).totals
    return Cell(what, num_envs, run, _key, num_envs * num_steps)


def rollout_v0(sizes: Sizes, rows: list) -> Iterator[dict]:
    """`rollout` of random actions, a whole episode."""
    yield from measure(
        [_rollout("HeartPole-v0", n, sizes.num_steps, "rollout v0") for n in sizes.patients], sizes.seconds
    )


def constants(sizes: Sizes, rows: list) -> Iterator[dict]:
    """The constants for accelerators of rollout.py, q_network.py and dqn/agent.py: would others be better?"""
    chosen = {"noise_steps": 1, "unroll": 4, "odd_blocks": True}
    others: list[dict[str, Any]] = [
        {},
        {"unroll": 1},
        {"unroll": 8},
        {"noise_steps": 10, "unroll": 1},
        {"odd_blocks": False},
    ]
    cells = []
    for name, varied in itertools.product(("HeartPole-v0", "HeartPole-v1"), others):
        values = {f"_{key.upper()}": ByPlatform(value, value) for key, value in (chosen | varied).items()}
        setting = ", ".join(f"{key} {value}" for key, value in varied.items()) or "as they are"
        cell = _rollout(name, sizes.varied, sizes.num_steps, f"rollout {name[-2:]}, {setting}")
        cells.append(dataclasses.replace(cell, patched=((rollout_module, values),)))
    for module, name, value in (
        (None, "", None), (q_network, "_WRITTEN_OUT", 0), (agent, "_UNROLL_STEPS", 1)
    ):  # fmt: skip
        what = f"DQN, {name.strip('_').lower()} {value}" if module else "DQN, as they are"
        patched = ((module, {name: ByPlatform(value, value)}),) if module else ()
        cells.append(dataclasses.replace(_dqn(sizes.varied_trials, 65_536, sizes.iterations, what), patched=patched))
    yield from measure(cells, sizes.seconds)


def launches(sizes: Sizes, rows: list) -> Iterator[dict]:
    """Few patients, where launches are the limit: kernels put into a CUDA graph however few they are."""
    options = (("xla_gpu_graph_min_graph_size", 1),)
    env = hp.make("HeartPole-v0")
    step = lambda key, state, action: env.step(state, action, key)[:3:2]
    cells = []
    for n in sizes.patients[:2]:
        loop = _usual_loop(lambda key: env.reset(key)[0], step, 4, n, sizes.loop_steps)
        cells += [
            _rollout("HeartPole-v0", n, sizes.num_steps, "rollout v0, graphs of one kernel"),
            Cell("vmapped step, graphs of one kernel", n, loop, _key, n * sizes.loop_steps),
        ]
    yield from measure([dataclasses.replace(cell, options=options) for cell in cells], sizes.seconds)


def limit(sizes: Sizes, rows: list) -> Iterator[dict]:
    """The episode as one CUDA kernel by hand, with a cheap generator."""
    if jax.default_backend() == "cpu":
        yield row("limit: a CUDA kernel by hand", None, None, "patient-steps/s", "no GPU")
        return
    for n in sizes.patients:
        run = gpu_limit.cuda(n, sizes.num_steps)
        run()
        found = []
        for seed in range(3):
            began = time.perf_counter()
            returns = run(seed)
            found.append(time.perf_counter() - began)
        mean, error = float(returns.mean()), float(returns.std()) / n**0.5
        note = f"mean return {mean:.2f} +- {error:.2f}; -234.29 is known"
        yield row(
            "limit: a CUDA kernel by hand", n, n * sizes.num_steps / statistics.median(found), "patient-steps/s", note
        )


def loops(sizes: Sizes, rows: list) -> Iterator[dict]:
    """vmapped `step` and `step_autoreset` in the loop of most JAX code, and gymnax's CartPole in the same."""
    env = hp.make("HeartPole-v0")

    def step(key, state, action):
        state, _, reward, _ = hp.step(state, action, key)
        return state, reward

    def step_autoreset(key, state, action):
        state, _, reward, *_ = hp.step_autoreset(env, state, action, key)
        return state, reward

    reset = lambda key: env.reset(key)[0]
    contenders = {"vmapped step": (reset, step, 4), "vmapped step_autoreset": (reset, step_autoreset, 4)}
    try:
        import gymnax

        pole, params = gymnax.make("CartPole-v1")
        contenders["gymnax CartPole, vmapped step"] = (
            lambda key: pole.reset(key, params)[1],
            lambda key, state, action: pole.step(key, state, action, params)[1:3],
            2,
        )
    except ImportError as error:
        yield row("gymnax CartPole", None, None, "", f"{error}; pip install --no-deps gymnax")
    cells = [
        Cell(what, n, _usual_loop(*contender, n, sizes.loop_steps), _key, n * sizes.loop_steps)
        for what, contender in contenders.items()
        for n in sizes.patients
    ]
    yield from measure(cells, sizes.seconds)


def _usual_loop(reset: Callable, step: Callable, num_actions: int, num_envs: int, num_steps: int) -> Callable:
    def run(key):
        def body(carry, key):
            state, total = carry
            action_key, step_key = jax.random.split(key)
            actions = jax.random.randint(action_key, (num_envs,), 0, num_actions)
            state, reward = jax.vmap(step)(jax.random.split(step_key, num_envs), state, actions)
            return (state, total + reward), None

        reset_key, scan_key = jax.random.split(key)
        state = jax.vmap(reset)(jax.random.split(reset_key, num_envs))
        return jax.lax.scan(body, (state, jnp.zeros(num_envs)), jax.random.split(scan_key, num_steps))[0][1]

    return run


def rollout_v1(sizes: Sizes, rows: list) -> Iterator[dict]:
    """The same as v0's, of as many decisions."""
    yield from measure(
        [_rollout("HeartPole-v1", n, sizes.num_steps, "rollout v1") for n in sizes.patients], sizes.seconds
    )


def dqn_populations(sizes: Sizes, rows: list) -> Iterator[dict]:
    """All seeds together, in the steady state."""
    memory = (jax.devices()[0].memory_stats() or {}).get("bytes_limit", 2**32)
    for population in sizes.populations:  # one after the other, since their buffers do not fit together
        buffer_size = min(1_000_000, int(0.4 * memory / (population * 56)) // 4 * 4)
        yield from measure(
            [_dqn(population, buffer_size, sizes.iterations, f"DQN, buffers of {buffer_size:,}")], sizes.seconds
        )


def _dqn(population: int, buffer_size: int, iterations: int, what: str) -> Cell:
    """The tutorial's settings: 4 decisions and an update an iteration."""
    hyperparams, config = Hyperparams(), DQNConfig(hidden_sizes=(16, 16), buffer_size=buffer_size)

    def chunk(state):
        train = lambda state: dqn.train_chunk(state, hyperparams, config, num_iterations=iterations)
        return jax.vmap(train, in_axes=(dqn.POPULATION_AXES,), out_axes=(dqn.POPULATION_AXES, 0))(state)

    def make():
        keys = jax.random.split(jax.random.key(0), population)
        return (jax.vmap(lambda key: dqn.init(key, hyperparams, config), out_axes=dqn.POPULATION_AXES)(keys),)

    work = population * iterations * config.env_steps_per_iteration
    return Cell(what, population, chunk, make, work, "decisions/s", feeds_back=True)


def recipe(sizes: Sizes, rows: list) -> Iterator[dict]:
    """HeartPole-v0's recipe for many seeds, and the regret of what it trains, as on a CPU."""
    found = recipes.find("heartpole-v0")
    num_steps = sizes.recipe_steps or found.num_steps
    plan = loop.plan(num_steps, found.config, found.num_evaluations if sizes.recipe_steps is None else 1)
    env = registry.make(found.env)
    keys = jax.vmap(jax.random.key)(jnp.arange(5_000, 5_000 + sizes.seeds))
    train = lambda keys: dqn.train_population(
        keys, found.hyperparams, found.config, env, num_chunks=plan.num_chunks, iterations_per_chunk=plan.iterations,
        evaluation_episodes=found.evaluation_episodes,
    ).best_weights  # fmt: skip
    program = jax.jit(train).lower(keys).compile()
    began = time.perf_counter()
    weights = jax.block_until_ready(program(keys))
    yield row(f"recipe heartpole-v0, {num_steps:,} decisions a seed", sizes.seeds, time.perf_counter() - began, "s")
    policies = [networks.greedy(one, found.config, env) for one in weights]
    regrets = [
        scoring.evaluate(policy, env, num_episodes=sizes.episodes, seed=123, name="agent").regret.mean
        for policy in policies
    ]
    for what, value in (("median", np.median(regrets)), ("95 %", np.quantile(regrets, 0.95)), ("worst", max(regrets))):
        yield row(f"recipe heartpole-v0, regret of the best kept: {what}", sizes.seeds, float(value), "regret")


def hybrid_gradients(sizes: Sizes, rows: list) -> Iterator[dict]:
    """The second table of benchmarks/gradients.py, on more noise sequences."""
    import gradients

    for what in ("forward", gradients.PLAIN, "hybrid"):
        found = gradients.measure(what, 1, sizes.sequences, sizes.gradient_steps)
        yield row(f"gradients, {what}, {sizes.gradient_steps:,} decisions", sizes.sequences, found["seconds"], "s")


def ratios(sizes: Sizes, rows: list) -> Iterator[dict]:
    """Best against best."""
    best: dict[str, float] = {}
    for x in rows:
        if x["value"] is not None and x["unit"] == "patient-steps/s":
            best[x["what"]] = max(x["value"], best.get(x["what"], 0.0))
    pole, limit = "gymnax CartPole, vmapped step", "limit: a CUDA kernel by hand"
    for a, b in (("rollout v0", pole), ("vmapped step", pole), ("vmapped step_autoreset", pole), ("rollout v0", limit)):
        if a in best and b in best:
            yield row(f"{a} / {b}, each at its best", None, best[a] / best[b], "times")


PARTS: dict[str, Callable[[Sizes, list], Iterator[dict]]] = {
    "device": device,
    "parity": parity,
    "rollout-v0": rollout_v0,
    "limit": limit,
    "loops": loops,
    "launches": launches,
    "dqn": dqn_populations,
    "recipe": recipe,
    "rollout-v1": rollout_v1,
    "constants": constants,
    "gradients": hybrid_gradients,
    "ratios": ratios,
}
