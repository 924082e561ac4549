"""HeartPole-v1: its speed beside v0's, and how well it is solved. The tables of docs/heartpole_v1.md.

    python benchmarks/heartpole_v1.py speed [--rounds 15]
    python benchmarks/heartpole_v1.py optimum [--resolutions 0.7 1.0 1.4] [--drunk]
    python benchmarks/heartpole_v1.py menus [NAME ...] [--agents 2]

`speed`: rollouts of 8,192 patients with random actions of v0's menu, 260 decisions, JAX as it comes, v0 and v1 by
turns; medians of the rounds, and the lowest and highest ratio within one.

`optimum`: on grids of some resolutions, the expected return of the interpolated problem and what its policy reaches in
16,384 episodes; with --drunk with the actions that intoxicate.

`menus`: menus of one's own, seven of them with strong stimulants: what `evaluation.heartpole_v1.best` finds. With
--agents so many seeds of the recipe heartpole-v1 are trained on each, and the best of them is held against the grid's
policy: the per cent are of the policy's return, or of a tenth of the agent's work where that is more.
"""

import argparse
import statistics
import time
from collections.abc import Iterable

import jax

from agents.commands import xla
from agents.common import networks
from agents.runs import recipes
from heartpole_jax import command_line, evaluation, make, policies, rollout
from heartpole_jax.envs import heartpole_v1
from heartpole_jax.envs import menu as menus
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.envs.menu import Menu, Row
from heartpole_jax.evaluation import heartpole_v1 as evaluation_v1
from heartpole_jax.optimum.heartpole_v1 import solve
from heartpole_jax.policy import Policy

NUM_ENVS, NUM_STEPS = 8192, 260
FIRST_SEED = 500  # no setting was chosen by it, or by those after it
EPISODES = 4096  # of an agent: its return to 0.3 at most
# Rows more than the shipped menu has, by a name for the menu.
ROWS = {
    "stimulation 0.5 .. 1, little hypertension": {"stimulation": (0.5, 1.0), "hypertension": (0.0, 0.05)},
    "stimulation 1 .. 1.6": {"stimulation": (1.0, 1.6)},
    "stimulation 2 .. 4": {"stimulation": (2.0, 4.0)},
    "stimulation 2 .. 4, hypertension": {"stimulation": (2.0, 4.0), "hypertension": (0.0, 1.0)},
    "stimulation 0 .. 3": {"stimulation": (0.0, 3.0), "hypertension": (0.0, 0.1)},
    "stimulation 6 .. 8": {"stimulation": (6.0, 8.0), "hypertension": (0.1, 0.2)},
    "stimulation at twenty times the hazard": {"stimulation": (0.5, 1.0), "hazard": 20.0},
    "weak stimulation for nothing": {"stimulation": (0.2, 0.4)},
    "alertness": {"alertness": (0.5, 1.0), "hypertension": (0.0, 0.2)},
    "calm": {"half_hours": 1, "hypertension": (-5.0, -3.0)},
    "two nights in one": {"half_hours": 48, "wakes_up": True},
    "siesta": {"half_hours": 3, "alertness": (0.2, 0.8)},
    "impairing tea": {"stimulation": (0.3, 0.6), "impairment": (0.0, 0.3)},
    "wine": {"intoxication": (0.02, 0.05), "alertness": (-0.1, 0.0)},
}
# Rows of the shipped menu alone.
PARTS = {
    "no sleep": ("nothing", "coffee", "nap", "exercise"),
    "nothing and coffee": ("nothing", "coffee"),
    "coffee and sleep": ("coffee", "sleep"),
    "sleep": ("sleep",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "optimum", "menus"))
    parser.add_argument("names", nargs="*", help="of menus; all by default")
    parser.add_argument("--rounds", type=command_line.count, default=15)
    parser.add_argument("--resolutions", type=float, nargs="+", default=(0.7, 1.0, 1.4))
    parser.add_argument("--drunk", action="store_true")
    parser.add_argument("--agents", type=command_line.count, default=0, help="seeds to train on each menu")
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(own_menus())):
        parser.error(f"unknown menus {unknown}; take some of {list(own_menus())}")
    if args.what == "speed":
        speed(args.rounds)
    elif args.what == "optimum":
        optimum(args.resolutions, args.drunk)
    else:
        solve_menus(args.names, args.agents)


def speed(rounds: int) -> None:
    v0, v1 = make("HeartPole-v0"), make("HeartPole-v1")
    ratios, rates = [], {"v0": [], "v1": []}
    for env in (v0, v1):
        _seconds(env, 0)  # compiles
    for i in range(1, rounds + 1):
        seconds = {"v0": _seconds(v0, i), "v1": _seconds(v1, i)}
        for name, spent in seconds.items():
            rates[name].append(NUM_ENVS * NUM_STEPS / spent)
        ratios.append(seconds["v0"] / seconds["v1"])
    for name, values in rates.items():
        print(f"{name}: {statistics.median(values):,.0f} steps/s")
    print(f"v1 / v0: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def _seconds(env, seed: int) -> float:
    began = time.perf_counter()
    policy = Policy(act=_drawn, sample=policies.uniformly_random().sample)  # of v0's four actions, in both
    jax.block_until_ready(rollout(policy, jax.random.key(seed), env=env, num_envs=NUM_ENVS, num_steps=NUM_STEPS).totals)
    return time.perf_counter() - began


def _drawn(params, carry, obs, action):
    return action, carry


def optimum(resolutions, drunk: bool) -> None:
    for resolution in resolutions:
        began = time.perf_counter()
        solution = solve(resolution=resolution, drunk=drunk)
        spent = time.perf_counter() - began
        found = evaluation.evaluate(solution.policy, jax.random.key(1), env=make("HeartPole-v1")).expected_return
        print(
            f"resolution {resolution}: on the grid {solution.expected_return:.2f}, {spent:.0f} s; "
            f"its policy {found.mean:.2f} +- {found.standard_error:.2f}",
            flush=True,
        )


def solve_menus(names: Iterable[str], num_agents: int) -> None:
    if num_agents:
        xla.prepare()
    found, above = own_menus(), []
    for name in names or found:
        began = time.perf_counter()
        best = evaluation_v1.best(EnvParams(menu=found[name]))
        figures = [best.on_grid, best.achieved, best.routine, best.expected_return]
        texts = ["unknown" if value is None else f"{value:.1f}" for value in figures]
        spent = time.perf_counter() - began
        print(
            f"{name}: on the grid {texts[0]}, its policy {texts[1]}, best routine {texts[2]}, best known {texts[3]}; "
            f"{best.why}; {spent:.0f} s",
            flush=True,
        )
        if num_agents:
            agent = best_agent(found[name], num_agents)
            above += [f"{kind} on {name!r}" for kind in compare(agent, best, found[name])]
    if num_agents:
        print(f"above the grid's policy by more than 1 %: {len(above)}", *above, sep="; ")


def best_agent(menu: Menu, num_agents: int) -> evaluation_v1.Evaluation:
    """The best of so many seeds of the recipe heartpole-v1, trained on a menu."""
    from recipes import train  # the benchmark beside this one; it prepares XLA, which `speed` takes as it comes

    recipe, env = recipes.named("heartpole-v1"), heartpole_v1.environment(menu)
    seeds = range(FIRST_SEED, FIRST_SEED + num_agents)
    population, _ = train(recipe, seeds, recipe.num_evaluations, env)
    agents = [networks.greedy(weights, recipe.config, env) for weights in population.best_weights]
    found = [evaluation.evaluate(agent, jax.random.key(2), env=env, num_episodes=EPISODES) for agent in agents]
    return max(found, key=lambda each: each.expected_return.mean)


def compare(agent: evaluation_v1.Evaluation, best: evaluation_v1.Best, menu: Menu) -> list[str]:
    """Prints how far the agent is above the grid's policy; which of agent and routine are, by more than 1 %."""
    mean, error = agent.expected_return
    drinks = sum(agent.actions_a_day[row.name].mean for row in menu.actions if row.intoxication is not None)
    line = f"  best agent {mean:.1f} +- {error:.1f}, {drinks:.2f} drinks a day"
    if best.achieved is None:
        print(line, flush=True)
        return []
    scale = max(abs(best.achieved), 0.1 * agent.work_done.mean)
    gains = {"agent": (mean - best.achieved) / scale, "routine": (best.routine - best.achieved) / scale}
    print(f"{line}, {100 * gains['agent']:+.1f} % of the grid's policy", flush=True)
    return [kind for kind, gain in gains.items() if gain > evaluation_v1.TOLERANCE]


def own_menus() -> dict[str, Menu]:
    shipped = menus.default().actions
    own = {"source": "invented", "grade": "assumed"}
    found = {
        name: Menu((*shipped, Row(**{"name": "own", "half_hours": 0} | own | columns)))
        for name, columns in ROWS.items()
    }
    found |= {name: Menu(tuple(row for row in shipped if row.name in part)) for name, part in PARTS.items()}
    weak = Row(name="weak", half_hours=0, stimulation=(0.0, 0.01), hypertension=(0.0, 0.01), **own)
    found["tiny doses"] = Menu((*(row for row in shipped if row.name in ("nothing", "sleep")), weak))
    found["the tutorial's"] = menus.find("heartpole_v0")
    return found


if __name__ == "__main__":
    main()
