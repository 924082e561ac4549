"""The numbers as tables: rates, ratios, and a Markdown fragment of both."""

import statistics

TITLES = {
    "rollout": "heartpole_jax, `rollout`",
    "step": "heartpole_jax, vmapped `step` in a scan",
    "autoreset": "heartpole_jax, vmapped `step_autoreset` in a scan",
    "gymnax": "gymnax CartPole-v1, the same scan",
    "envpool": "EnvPool CartPole-v1, its best setting",
    "tutorial": "heartpole 1.2, the tutorial's NumPy",
    "equations": "limit: a Numba kernel of the same equations",
    "algebra": "limit: a Numba kernel, its algebra done by hand",
}


def rates(cells: list[dict]) -> dict[tuple[str, int], list[float]]:
    """(contender, envs) -> patient-steps a second, one number a round."""
    return {(c["contender"], c["envs"]): [c["patient_steps"] / s for s in c["seconds_a_call"]] for c in cells}


def compile_seconds(cells: list[dict], contender: str) -> float | None:
    """The first call of `contender` beyond a later one; the median over its numbers of envs."""
    mine = [c for c in cells if c["contender"] == contender and c["first_call_s"] is not None]
    if not mine:
        return None
    return statistics.median(c["first_call_s"] - statistics.median(c["seconds_a_call"]) for c in mine)


def ratios(cells: list[dict]) -> dict[str, dict]:
    """title -> {ratio of the medians, low and high among the rounds}; those whose cells were measured."""
    rate = rates(cells)

    def best(contender):
        mine = [key for key in rate if key[0] == contender]
        return max(mine, key=lambda key: statistics.median(rate[key]), default=None)

    ours = best("rollout")
    pairs = {
        "rollout / gymnax CartPole, each at its best": (ours, best("gymnax")),
        "rollout / EnvPool CartPole, each at its best": (ours, best("envpool")),
        "rollout / the tutorial's NumPy": (ours, best("tutorial")),
        "rollout / the limit of the same equations": (ours, best("equations")),
        "rollout / the limit with its algebra done by hand": (ours, best("algebra")),
        "step / gymnax CartPole, 16,384 envs": (("step", 16_384), ("gymnax", 16_384)),
        "step_autoreset / gymnax CartPole, 16,384 envs": (("autoreset", 16_384), ("gymnax", 16_384)),
        "rollout, cost of a patient-step, 1,048,576 envs / 16,384": (("rollout", 16_384), ("rollout", 1_048_576)),
    }
    found = {}
    for title, (a, b) in pairs.items():
        if a in rate and b in rate:
            rounds = [x / y for x, y in zip(rate[a], rate[b], strict=True)]
            median = statistics.median(rate[a]) / statistics.median(rate[b])
            found[title] = {"ratio": median, "low": min(rounds), "high": max(rounds)}
    return found


def number(x: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def rate_rows(settings: dict[str, dict]) -> list[list[str]]:
    """Header and rows: million patient-steps a second by envs, a row for each contender and setting."""
    envs = sorted({c["envs"] for setting in settings.values() for c in setting["cells"]})
    rows = [["million steps a second, envs:", "setting", *(f"{n:,}" for n in envs), "compile, s"]]
    for contender, title in TITLES.items():
        for name, setting in settings.items():
            rate, compile_s = rates(setting["cells"]), compile_seconds(setting["cells"], contender)
            cells = [rate.get((contender, n)) for n in envs]
            if any(cells):
                shown = [number(statistics.median(c) / 1e6) if c else "" for c in cells]
                rows.append([title, name, *shown, "" if compile_s is None else f"{compile_s:.1f}"])
    return rows


def ratio_rows(settings: dict[str, dict]) -> list[list[str]]:
    """Header and rows: the ratio of the medians (lowest to highest among the rounds), a column for each setting."""
    found = {name: ratios(setting["cells"]) for name, setting in settings.items()}
    titles = dict.fromkeys(title for ratios_ in found.values() for title in ratios_)
    rows = [["ratio (least to greatest of the rounds)", *found]]
    for title in titles:
        shown = [found[name].get(title) for name in found]
        rows.append([title, *(f"{number(r['ratio'])} ({number(r['low'])} to {number(r['high'])})" for r in shown if r)])
    return rows


def startup_rows(startup: dict[str, float]) -> list[list[str]]:
    """Header and rows: what a fresh process waits for."""
    beyond = startup["import_chex_s"] + startup["import_heartpole_jax_s"]
    return [
        ["a fresh process waits for", "seconds"],
        ["import jax", f"{startup['import_jax_s']:.2f}"],
        ["import heartpole_jax after it", f"{beyond:.2f}"],
        ["... of which chex", f"{startup['import_chex_s']:.2f}"],
        ["compiling `rollout` (first call less a later one)", f"{startup['compile_s']:.2f}"],
    ]


def plain(rows: list[list[str]]) -> str:
    """A table for the terminal: first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[row[0].ljust(widths[0]), *(x.rjust(w) for x, w in zip(row[1:], widths[1:], strict=True))] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def markdown(rows: list[list[str]]) -> str:
    """The same as a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" + "|---:" * (len(rows[0]) - 1) + "|", *lines[1:]])


def preamble(run: dict) -> str:
    """Where, when and how the numbers came about, for the Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    flags = "; ".join(f"{name}: {setting['described']}" for name, setting in run["settings"].items())
    return (
        f"`{run['command']}`, {run['date']}, {run['machine']['cpu']}, {run['machine']['cores']} cores; {versions}. "
        f"Medians of {run['rounds']} rounds. Settings: {flags}."
    )


def fragment(run: dict) -> str:
    """All of it in Markdown."""
    tables = (rate_rows(run["settings"]), ratio_rows(run["settings"]), startup_rows(run["startup"]))
    return "\n\n".join([preamble(run), *map(markdown, tables)])
