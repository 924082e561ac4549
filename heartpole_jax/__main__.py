"""The command line, `python -m heartpole_jax`: leaderboard, optimum, episode, dataset, figures, ..."""

import argparse
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from heartpole_jax import command_line, command_options, disk, evaluation, optimum, playground, policies, validation
from heartpole_jax.envs import menu as menus
from heartpole_jax.envs import params as env_params
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.evaluation import literature_tables, menu_report, tables
from heartpole_jax.gradients.sensitivity import as_text, sensitivity
from heartpole_jax.rollout import everything, rollout
from heartpole_jax.terminal import one_line, printable


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit status, 2 for bad input, 1 where JAX failed."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command_line.use_all_cores()
    if "" not in sys.path:  # as with `python -m`: --env names a module in the folder where one works
        sys.path.insert(0, "")
    try:
        validation.check_arguments(arguments)
        options = _parser().parse_args(arguments)
        options.command(options)
    except (ValueError, ImportError, OSError) as error:
        return _fail(error, 2)
    except (RuntimeError, AssertionError) as error:
        if (message := command_line.without_devices()) is not None:
            return _fail(message, 2)
        if isinstance(error, jax.errors.JaxRuntimeError):
            return _fail(error, 1)
        raise
    return 0


def _fail(error: Exception | str, status: int) -> int:
    print(f"error: {one_line(error)}", file=sys.stderr)
    return status


def _leaderboard(options: argparse.Namespace) -> None:
    if options.literature:
        return _literature(options)
    env = command_options.environment_of(options)
    params = env_params.replaced(env, env_params.read(env, command_line.numbers(options.params, "--params")))
    chosen = {name: policies.make(name, params, env) for name in options.policies or ()}
    folder = _folder(options)
    board = evaluation.leaderboard(
        chosen or None, jax.random.key(options.seed), params, env=env, num_episodes=options.episodes,
        devices=jax.devices(), progress=_announce,
    )  # fmt: skip
    print(printable(tables.as_format(board, options.format, options.seed)), end="")
    if folder:
        tables.save(board, folder, options.seed)
        print(f"\nwritten: {folder}/leaderboard.md, .json, .csv", file=sys.stderr)


def _literature(options: argparse.Namespace) -> None:
    for flag in ("policies", "params"):
        if getattr(options, flag):
            raise ValueError(f"--literature is of the published policies and constants; leave --{flag} out")
    env, folder = command_options.environment_of(options), _folder(options)
    found = evaluation.literature(
        jax.random.key(options.seed), env=env, num_episodes=options.episodes, devices=jax.devices(), progress=_announce
    )
    print(printable(literature_tables.as_format(found, options.format, options.seed)), end="")
    if folder:
        literature_tables.save(found, folder, options.seed)
        print(f"\nwritten: {folder}/literature.md, .json, .csv", file=sys.stderr)


def _folder(options: argparse.Namespace) -> Path | None:
    """The folder of --out, None without it. Raises ValueError where none can be written."""
    folder = disk.as_path(options.out) if options.out else None
    if folder:
        validation.check_folder(folder)
    return folder


def _announce(name: str) -> None:
    print(f"evaluating {name} ...", file=sys.stderr)


def _optimum(options: argparse.Namespace) -> None:
    out = command_options.picture_of(options.out) if options.out else None
    params = env_params.replaced(
        HEARTPOLE_V0, env_params.read(HEARTPOLE_V0, command_line.numbers(options.params, "--params"))
    )
    solved, proof = optimum.sober_optimum(params), optimum.certificate(params)
    print(f"without drinks       {solved.expected_return:.5f}, a score of {solved.score:.6f}")
    print(f"of all policies      {'the same' if proof.certified else 'unknown'}: {proof.reason}")
    print(f"no policy exceeds    {solved.expected_return if proof.certified else optimum.return_ceiling(params):.5f}")
    print(f"heart attacks        {solved.heart_attacks:.6f}, and no policy has fewer")
    penalty = optimum.frontier(params).certified_penalty
    print(
        f"no drink pays        {f'where a heart attack costs {penalty:.4g} or more' if penalty < np.inf else 'unknown'}"
    )
    if out:
        from heartpole_jax.drawing.charts import style  # here, since matplotlib is an extra
        from heartpole_jax.drawing.charts.slacks import draw_slacks

        style.save(draw_slacks(proof), out)
        print(f"written: {out}")


def _episode(options: argparse.Namespace) -> None:
    from heartpole_jax.drawing.charts import style  # here, since matplotlib is an extra
    from heartpole_jax.drawing.charts.strip_chart import draw_episode
    from heartpole_jax.drawing.charts.versus import draw_versus

    out = command_options.picture_of(options.out)
    given = [options.policy] if options.versus is None else [options.policy, options.versus]
    env, params, chosen = command_options.policies_of(options, *given)
    key = jax.random.key(options.seed)  # one for both policies: the noise of a step depends on nothing else
    titles = tuple(f"{name}, seed {options.seed}" for name, _ in chosen)
    results = [
        rollout(policy, key, params, env=env, num_envs=1, num_steps=options.steps, record=everything)
        for _, policy in chosen
    ]
    episodes = [_first_episode(result.records) for result in results]
    if options.versus is None:
        figure = draw_episode(episodes[0], params, titles[0], env=env)
    else:
        figure = draw_versus(episodes[0], episodes[1], params, (titles[0], titles[1]), env=env)
    style.save(figure, out)
    for title, result, records in zip(titles, results, episodes, strict=True):
        attacks = int(np.sum(records.info.heart_attack))
        actions = np.bincount(np.asarray(records.action).ravel(), minlength=env.num_actions)
        counts = ", ".join(f"{action}: {count}" for action, count in zip(env.action_names, actions, strict=True))
        text = f"{float(result.totals[0]):.3f}, {len(records.action):,} decisions, heart attacks: {attacks}, {counts}"
        print(printable(f"{title}: return {text}"))
    print(f"written: {out}")


def _first_episode(records: Any) -> Any:
    """The records of one patient up to the end of the first episode."""
    done = np.append(np.asarray(records.done[:, 0]), True)
    return jax.tree.map(lambda x: x[: np.argmax(done) + 1], records)


def _dataset(options: argparse.Namespace) -> None:
    from heartpole_jax.interop import minari  # here, since it is an extra

    out = disk.as_path(options.out)
    minari.check_new(out)
    env, params, ((name, policy),) = command_options.policies_of(options, options.policy)
    targets = minari.write_dataset(
        out, policy, jax.random.key(options.seed), params, env=env, num_episodes=options.episodes,
        epsilon=options.epsilon, name=name, devices=jax.devices(),
        progress=lambda name: print(f"evaluating {name} ...", file=sys.stderr),
    )  # fmt: skip
    print(printable(minari.as_text(targets)))
    print(f"\nwritten: {out}; minari.MinariDataset({str(out / 'data')!r}) reads it")


def _figures(options: argparse.Namespace) -> None:
    from heartpole_jax.drawing.charts.curves import save_figures  # here, since matplotlib is an extra

    folder = disk.as_path(options.out)
    validation.check_folder(folder)
    for path in save_figures(folder):
        print(f"written: {path}")


def _sensitivity(options: argparse.Namespace) -> None:
    from heartpole_jax.drawing.charts import style  # here, since matplotlib is an extra
    from heartpole_jax.drawing.charts.tornado import draw_tornado

    out = command_options.picture_of(options.out)
    env = command_options.environment_of(options)
    params = env_params.replaced(env, env_params.read(env, command_line.numbers(options.params, "--params")))
    name = options.policy or env.shown_policy or next(iter(policies.of(env)))
    key = jax.random.key(options.seed)
    found = sensitivity(policies.make(name, params, env), key, params, env=env, num_episodes=options.episodes)
    figure = draw_tornado(found, title=name)
    style.save(figure, out)
    print(as_text(found, name))
    print(f"\nwritten: {out}")


def _menu(options: argparse.Namespace) -> None:
    out = command_options.picture_of(options.out) if options.out else None
    print(menu_report.report(options.file), end="")
    if out:
        from heartpole_jax.drawing.charts import style  # here, since matplotlib is an extra
        from heartpole_jax.drawing.charts.menu import day_figure

        style.save(day_figure(menus.as_menu(options.file)), out)
        print(f"written: {out}")


def _playground(options: argparse.Namespace) -> None:
    path = playground.write(options.out, options.policy)
    print(f"written: {path}; open it in a browser")


def _coffee(options: argparse.Namespace) -> None:
    cups = evaluation.coffees_until_heart_attack(jax.random.key(options.seed), options.patients)
    quantiles = np.quantile(cups, [0.05, 0.25, 0.5, 0.75, 0.95]).astype(int)
    print(f"Cups of coffee until the heart attack, {options.patients:,} patients, seed {options.seed}")
    print(f"  mean {cups.mean():.2f} ± {cups.std(ddof=1) / np.sqrt(cups.size):.2f}, the fatal cup included")
    print("  5 %, 25 %, 50 %, 75 %, 95 % of patients: " + ", ".join(map(str, quantiles)) + " cups")
    print(f"  the tutorial's developer had 28; {100 * np.mean(cups >= 28):.1f} % get as far\n")
    edges = np.append(np.arange(1, 92, 10), np.inf)
    shares = np.histogram(cups, edges)[0] / cups.size
    for low, share in zip(edges[:-1].astype(int), shares, strict=True):
        label = f"{low:>3} - {low + 9:<3}" if low < 91 else f"{low:>3} or more"
        print(f"  {label:<11} {'#' * round(100 * share):<45} {100 * share:5.1f} %")


def _parser() -> argparse.ArgumentParser:
    parser = command_line.Parser(prog="python -m heartpole_jax", description="HeartPole in JAX.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    board = commands.add_parser("leaderboard", help="scripted policies ranked by expected return")
    board.set_defaults(command=_leaderboard)
    _add_environment(board, "HeartPole-v0")
    board.add_argument("--policies", nargs="+", metavar="NAME", help="of those that it otherwise shows all of")
    board.add_argument(
        "--literature", action="store_true", help="published policies instead, printed and exact scores side by side"
    )
    board.add_argument(
        "--episodes", type=command_line.count, help="for each policy (default 65536, and 16384 of HeartPole-v1)"
    )
    board.add_argument("--seed", type=command_line.seed, default=0, help="of the noise (default %(default)s)")
    board.add_argument("--format", choices=tables.FORMATS, default="table")
    board.add_argument("--out", metavar="FOLDER", help="also write leaderboard.md, .json and .csv there")

    episode = commands.add_parser("episode", help="one episode as a strip chart (a PNG; needs the extra 'plot')")
    episode.set_defaults(command=_episode)
    _add_environment(episode, None)
    episode.add_argument(
        "--policy",
        help="its name (default 'reference', of HeartPole-v1 'coffee and exercise'; 'optimal' is the best known), or "
        "the folder of a saved one",
    )
    episode.add_argument(
        "--versus", metavar="POLICY", help="a second policy, on the same noise, below the first: a name or a folder"
    )
    episode.add_argument("--seed", type=command_line.seed, default=0)
    episode.add_argument("--steps", type=command_line.count, help="the most decisions (default: to the time limit)")
    episode.add_argument("--out", metavar="FILE", default="episode.png", help="default %(default)s")

    page = commands.add_parser("playground", help="a page to play HeartPole on, against an agent and the optimum")
    page.set_defaults(command=_playground)
    page.add_argument("--policy", metavar="FOLDER", help="of a saved policy, to play against (default: one is shipped)")
    page.add_argument("--out", metavar="FILE", default="play.html", help="default %(default)s")

    figures = commands.add_parser("figures", help="the tutorial's figures (PNGs; needs the extra 'plot')")
    figures.set_defaults(command=_figures)
    figures.add_argument("--out", metavar="FOLDER", default="figures", help="default %(default)s")

    sensitive = commands.add_parser("sensitivity", help="what a policy's outcomes depend on (a PNG; extra 'plot')")
    sensitive.set_defaults(command=_sensitivity)
    _add_environment(sensitive, "HeartPole-v0")
    sensitive.add_argument("--policy", help="its name (default 'reference', of HeartPole-v1 'coffee and exercise')")
    sensitive.add_argument(
        "--episodes", type=command_line.count, help="episodes (default 128; 4,096 where parameters shift actions)"
    )
    sensitive.add_argument("--seed", type=command_line.seed, default=0)
    sensitive.add_argument("--out", metavar="FILE", default="sensitivity.png", help="default %(default)s")

    dataset = commands.add_parser(
        "dataset",
        help="episodes in Minari's format, with the exact values of policies (extra 'minari')",
    )
    dataset.set_defaults(command=_dataset)
    _add_environment(dataset, None)
    dataset.add_argument("--policy", help="its name (default 'reference'), or the folder of a saved one")
    dataset.add_argument("--episodes", type=command_line.count, default=1_000, help="default %(default)s")
    dataset.add_argument(
        "--epsilon", type=command_line.share, default=0.1,
        help="the probability of a uniformly drawn action (default %(default)s); with 0 other policies have no support",
    )  # fmt: skip
    dataset.add_argument("--seed", type=command_line.seed, default=0, help="of the noise (default %(default)s)")
    dataset.add_argument("--out", metavar="FOLDER", required=True, help="to be made, called NAME-v0")

    coffee = commands.add_parser("coffee", help="how many coffees until the heart attack, as a distribution")
    coffee.set_defaults(command=_coffee)
    coffee.add_argument("--patients", type=command_line.count, default=100_000, help="default %(default)s")
    coffee.add_argument("--seed", type=command_line.seed, default=0)

    solved = commands.add_parser(
        "optimum", help="HeartPole-v0 solved: the optimum, and whether it is that of all policies"
    )
    solved.set_defaults(command=_optimum)
    _add_params(solved)
    solved.add_argument("--out", metavar="FILE", help="also draw what drinks cost at least (a PNG; extra 'plot')")

    menu = commands.add_parser("menu", help="a menu of HeartPole-v1 checked, as a table, and each action over a day")
    menu.set_defaults(command=_menu)
    menu.add_argument("file", nargs="?", help="a TOML file, or the name of a shipped menu (default heartpole_v1)")
    menu.add_argument("--out", metavar="FILE", help="also draw the days (a PNG; extra 'plot')")
    return parser


def _add_environment(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--env", default=default, metavar="NAME",
        help="HeartPole-v0 (the default), HeartPole-v1, gymnax:NAME, or one of your own as package.module:attribute",
    )  # fmt: skip
    parser.add_argument("--menu", metavar="FILE", help="of HeartPole-v1: a TOML file, or the name of a shipped menu")
    _add_params(parser)


def _add_params(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--params", nargs="+", default=[], metavar="NAME=VALUE",
        help="of the environment, as max_steps=200 heart_attack_proclivity=0.1",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
