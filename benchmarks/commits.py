"""Speed beside an earlier commit: rollouts, steps and Gymnasium's interfaces, in turns on one machine.

    python benchmarks/commits.py HEAD~5 [--rounds 8]

Checks the commit out into a temporary folder and times both, one fresh process after the other, with the packages of
this Python. For each program: the median over rounds of (time before / time now), and the lowest and highest of them;
above 1 is faster now. The order alternates, since machines drift. It says as well whether XLA's programs are the
same, but for names of files and lines: then no clock is needed but for what Python does around them.
"""

import argparse
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
REPEATS = 25


def seconds(run) -> float:
    """The lower quartile of many runs, after one that compiles."""
    run()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.quantiles(times, n=4)[0]


def digest(function, *arguments) -> str:
    """Of the compiled program's instructions, without what names files and lines; `function` is jitted."""
    text = re.sub(r", metadata=\{[^}]*\}", "", function.lower(*arguments).compile().as_text())
    lines = [line for line in text.splitlines() if re.match(r"\s*(ROOT )?%?[\w.-]+ = |ENTRY|%|HloModule", line)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def measure() -> dict[str, dict]:
    """Seconds of each program and digests of some, of whichever `heartpole_jax` is found first."""
    import jax
    import numpy as np

    import heartpole_jax as hp
    from heartpole_jax.interop import stepping
    from heartpole_jax.interop.gymnasium import Env, VectorEnv

    key, policy = jax.random.key(0), hp.policies.rested(alertness=0.4)
    version_1, coffee = hp.make("HeartPole-v1"), hp.policies.always(1)
    keys = jax.random.split(key, 4096)
    patients, _ = jax.vmap(hp.reset)(keys)

    @jax.jit
    def steps(patients, keys):
        def one(patients, _):
            patients, _, reward, _ = jax.vmap(hp.step, (0, None, 0))(patients, 1, keys)
            return patients, reward.sum()

        return jax.lax.scan(one, patients, length=100)[1]

    programs = {
        "rollout, 16,384 x 500": (lambda key: hp.rollout(policy, key, num_envs=16_384, num_steps=500).totals, key),
        "rollout of v1, 1,024 x 100": (
            lambda key: hp.rollout(coffee, key, env=version_1, num_envs=1024, num_steps=100).totals, key,
        ),
        "vmapped step, 4,096 x 100": (steps, patients, keys),
    }  # fmt: skip
    digests = {name: digest(jax.jit(program[0]), *program[1:]) for name, program in programs.items()}
    found = {
        name: seconds(lambda program=program: jax.block_until_ready(program[0](*program[1:])))
        for name, program in programs.items()
    }
    env = Env()

    def alone():
        env.reset(seed=0)
        for _ in range(500):
            env.step(0)

    def step_digest(env):  # of the one compiled program behind Gymnasium's interfaces
        envs = env._envs
        return digest(stepping._step, envs._layout, envs._params, envs._arrays, np.zeros(envs.num_envs, np.int64))

    found["Gymnasium Env, 500"] = seconds(alone)
    digests["Gymnasium Env, 500"] = step_digest(env)
    for num_envs in (64, 1024):
        envs, actions = VectorEnv(num_envs), np.zeros(num_envs, np.int64)
        envs.reset(seed=0)
        name = f"VectorEnv of {num_envs:,}, 100"
        found[name] = seconds(lambda: [envs.step(actions) for _ in range(100)])  # noqa: B023
        digests[name] = step_digest(envs)
    return {"seconds": found, "digests": digests}


def timed(checkout: Path) -> dict[str, dict]:
    """What a fresh process measures of the checkout."""
    command = [sys.executable, __file__, "--child"]
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if Path(found.pop("checkout")) != checkout.resolve():
        raise RuntimeError(f"another heartpole_jax than that of {checkout} was measured")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=8, help="pairs of processes (default: 8)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        import heartpole_jax

        print(json.dumps(measure() | {"checkout": str(Path(heartpole_jax.__file__).resolve().parent.parent)}))
        return
    if args.commit is None or args.rounds < 1:
        parser.error("name a commit, as HEAD~5, and at least one round")
    if subprocess.run(["git", "-C", str(REPOSITORY), "cat-file", "-e", f"{args.commit}^{{commit}}"]).returncode:
        parser.error(f"{args.commit!r} is no commit of this repository; git log names them")
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        git = ["git", "-C", str(REPOSITORY), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(before), args.commit], check=True)
        try:
            ratios: dict[str, list[float]] = {}
            for turn in range(args.rounds):
                order = (before, REPOSITORY) if turn % 2 == 0 else (REPOSITORY, before)
                found = {checkout: timed(checkout) for checkout in order}
                for program, now in found[REPOSITORY]["seconds"].items():
                    ratios.setdefault(program, []).append(found[before]["seconds"][program] / now)
                print(f"round {turn + 1} of {args.rounds}", file=sys.stderr)
        finally:
            subprocess.run([*git, "remove", "--force", str(before)], check=True)
    for program, values in ratios.items():
        digests = {found[checkout]["digests"][program] for checkout in (before, REPOSITORY)}
        same = "same program" if len(digests) == 1 else "another program"
        spread = f"{min(values):.2f} .. {max(values):.2f}"
        print(f"{program:<28} {statistics.median(values):.3f}   {spread}   {same}")


if __name__ == "__main__":
    main()
