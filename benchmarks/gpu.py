"""HeartPole on an accelerator, measured: one process, some minutes, each part printed as soon as it is known.

    make bench-gpu                       on a machine with a GPU; or, where jax[cuda13], flax and optax are installed:
    python benchmarks/gpu.py [--parts device parity ...] [--json FILE] [--minutes 7]
    python benchmarks/gpu.py --quick     all parts at small sizes on whatever there is, a CPU too; measures nothing
    python benchmarks/gpu.py --table FILE   puts an earlier run's JSON as a table into docs/development/accelerators.md

The most important part comes first. A part that fails, or a size that does not fit, is one line, and the rest goes on.
Rows are written to the JSON file as they come, each with the card, its driver, JAX's version and the commit. Rates are
medians of three timings, without compiling; for CartPole a step is one step of one pole. What the parts measure:
gpu_parts.py.
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # gpu_parts, and agents where only the clone has it

import rollouts  # noqa: E402, after the path

BEGIN, END = "<!-- gpu: begin -->", "<!-- gpu: end -->"
RESULTS = HERE / "results" / "gpu.json"
DOCUMENT = HERE.parent / "docs" / "development" / "accelerators.md"


def where(commit: str | None) -> dict[str, str]:
    """What every row says of the machine and the code."""
    import jax

    device = jax.devices()[0]
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(asked, capture_output=True, text=True, timeout=20).stdout.strip().split("\n")[0]
    except (OSError, subprocess.SubprocessError):
        driver = ""
    return {
        "card": device.device_kind if device.platform != "cpu" else rollouts.cpu_model(),
        "driver": driver or "none",
        "jax": jax.__version__,
        "commit": commit or rollouts.versions()["commit"],
        "date": datetime.date.today().isoformat(),
    }


def markdown(rows: list[dict]) -> str:
    """The rows as Markdown: where they were measured, what has several sizes by size, and the rest."""
    origins: dict[str, list[str]] = {}
    for row in rows:
        origin = "{card}, driver {driver}, jax {jax}, commit {commit}, {date}".format_map(row)
        origins.setdefault(origin, []).append(row["what"])
    most = max(origins, key=lambda origin: len(origins[origin]))
    others = (f"{', '.join(whats)}: {origin}" for origin, whats in origins.items() if origin != most)
    lines = ["; ".join([most, *others]) + "."]
    by_size: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        by_size.setdefault((row["unit"], row["what"]), {})[row["size"]] = row["value"]
    by_size = {what: values for what, values in by_size.items() if len(values) > 1}
    for unit in dict.fromkeys(unit for unit, _ in by_size):
        rates = {what: values for (its_unit, what), values in by_size.items() if its_unit == unit}
        sizes = sorted({size for values in rates.values() for size in values})
        head = [f"{unit}, by size", *(f"{size:,}" for size in sizes)]
        shown = [[what, *(number(x[n]) if n in x else "" for n in sizes)] for what, x in rates.items()]
        lines += ["", *_table(head, "-" + ":" * len(sizes), shown)]
    rest = [row for row in rows if (row["unit"], row["what"]) not in by_size]
    shown = [[x["what"], f"{x['size']:,}" if x["size"] else "", number(x["value"]), x["unit"]] for x in rest]
    lines += ["", *_table(["what", "size", "value", "unit"], "-::-", shown)]
    return "\n".join(lines)


def _table(head: list[str], align: str, rows: list[list[str]]) -> list[str]:
    """Lines of Markdown; `align` has a colon for each column of numbers."""
    rule = "|" + "".join("---:|" if right == ":" else "---|" for right in align)
    line = lambda cells: f"| {' | '.join(cells)} |"
    return [line(head), rule, *map(line, rows)]


def number(value: float | None) -> str:
    """Three significant digits; a dash where there is none."""
    return "-" if value is None else f"{value:.3g}"


def one_line(error: BaseException) -> str:
    """An error's kind and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def run(args: argparse.Namespace) -> int:
    import gpu_parts
    import jax

    if jax.default_backend() == "cpu" and not args.quick:
        print(
            'no GPU: JAX has the CPU alone here. With one, install its CUDA: pip install "jax[cuda13]"; '
            "to see that everything runs: python benchmarks/gpu.py --quick"
        )
        return 1
    origin, rows, began = where(args.commit), [], time.monotonic()
    print(", ".join(f"{name} {value}" for name, value in origin.items()), flush=True)
    failed = 0
    for name in args.parts or gpu_parts.PARTS:
        spent = time.monotonic() - began
        if spent > 60 * args.minutes:
            print(f"{name}: not begun, {spent:.0f} s have passed (--minutes {args.minutes:g})", flush=True)
            continue
        print(f"\n{name}", flush=True)
        try:
            for row in gpu_parts.PARTS[name](gpu_parts.QUICK if args.quick else gpu_parts.FULL, rows):
                rows.append({"part": name, **row, **origin})
                note = f"  ({row['note']})" if row["note"] else ""
                print(
                    f"  {row['what']:52} {row['size'] or '':>10} {number(row['value']):>10} {row['unit']}{note}",
                    flush=True,
                )
                if args.json:
                    args.json.parent.mkdir(parents=True, exist_ok=True)
                    args.json.write_text(json.dumps(rows, indent=1) + "\n")
        except Exception as error:
            failed += 1
            print(f"  failed, the other parts go on: {one_line(error)}", flush=True)
        print(f"  {time.monotonic() - began - spent:.0f} s", flush=True)
    return int(args.quick and failed > 0)


def put_table(path: pathlib.Path) -> None:
    rows = json.loads(path.read_text())
    print(rollouts.replace_fragment(DOCUMENT, markdown(rows), BEGIN, END))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="does it run? Small sizes, any device")
    parser.add_argument("--parts", nargs="+", metavar="PART", help="these parts alone")
    parser.add_argument("--minutes", type=float, default=7.0, help="no part begins after so long (default: 7)")
    parser.add_argument("--json", type=pathlib.Path, help=f"where the rows go (default: {RESULTS.name}; --quick: none)")
    parser.add_argument("--commit", help="what is measured, where git does not know")
    parser.add_argument("--table", type=pathlib.Path, metavar="FILE", help="of these rows, instead of measuring")
    args = parser.parse_args()
    if args.table:
        put_table(args.table)
        return
    import gpu_parts

    unknown = sorted(set(args.parts or ()) - set(gpu_parts.PARTS))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(gpu_parts.PARTS)}")
    if args.json is None and not args.quick:
        args.json = RESULTS
    sys.exit(run(args))


if __name__ == "__main__":
    main()
