"""benchmarks/gpu.py without a GPU: everything in it runs, what it refuses, and one part's end is not the others'."""

import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

BENCHMARKS = pathlib.Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def modules():
    """(gpu, gpu_parts, gpu_timing), which are no package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import gpu
        import gpu_parts
        import gpu_timing

        yield gpu, gpu_parts, gpu_timing
    finally:
        sys.path.remove(str(BENCHMARKS))


def main(gpu, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["gpu.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    return ended.value.code


def test_without_a_gpu_one_line_says_so(modules, monkeypatch, capsys):
    gpu, _, _ = modules
    assert main(gpu, monkeypatch) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert 'pip install "jax[cuda13]"' in line
    assert "--quick" in line


def test_a_part_that_fails_is_one_line_and_the_others_go_on(modules, monkeypatch, capsys, tmp_path):
    gpu, parts, timing = modules

    def good(sizes, rows):
        yield parts.row("one", 1_024, 2.0, "times")

    def bad(sizes, rows):
        yield parts.row("before it", None, 1.0, "s")
        raise RuntimeError("no such\nthing")

    def too_large(sizes, rows):
        cell = timing.Cell("huge", 7, lambda x: x, lambda: (jnp.zeros(3),), 1.0)
        monkeypatch.setattr(timing, "_compile", lambda cell, lowered: (_exhausted, 0.0))
        yield from timing.measure([cell], sizes.seconds)

    monkeypatch.setattr(parts, "PARTS", {"bad": bad, "large": too_large, "good": good})
    written = tmp_path / "new" / "rows.json"
    assert main(gpu, monkeypatch, "--quick", "--json", written, "--commit", "abc") == 1
    shown = capsys.readouterr().out
    assert "failed, the other parts go on: RuntimeError: no such" in shown
    rows = json.loads(written.read_text())
    assert [row["what"] for row in rows] == ["before it", "huge", "one"]
    assert rows[1]["value"] is None
    assert rows[1]["note"] == "does not fit: RESOURCE_EXHAUSTED: Out of memory"
    for row in rows:
        assert (row["commit"], row["jax"]) == ("abc", jax.__version__)
        assert row["card"]
        assert row["driver"]
    assert "| one | 1,024 | 2 | times |" in gpu.markdown(rows)
    assert "| huge | 7 | - | patient-steps/s |" in gpu.markdown(rows)


def test_the_table_has_a_column_for_each_size_and_one_line_for_where_it_was_measured(modules):
    gpu, parts, _ = modules
    card = {"card": "X1", "driver": "1.2", "jax": "0.11", "date": "2026-01-02"}
    rates = [("a", 1_000, 2e9, "new"), ("b", 1_000, 3e9, "new"), ("a", 20, 1.234e9, "new"), ("late", None, 5.0, "old")]
    rows = [{"part": "p", **parts.row(what, n, x, "steps/s"), **card, "commit": commit} for what, n, x, commit in rates]
    assert gpu.markdown(rows).splitlines() == [
        "X1, driver 1.2, jax 0.11, commit new, 2026-01-02; late: X1, driver 1.2, jax 0.11, commit old, 2026-01-02.",
        "",
        "| steps/s, by size | 20 | 1,000 |",
        "|---|---:|---:|",
        "| a | 1.23e+09 | 2e+09 |",
        "",
        "| what | size | value | unit |",
        "|---|---:|---:|---|",
        "| b | 1,000 | 3e+09 | steps/s |",
        "| late |  | 5 | steps/s |",
    ]


def test_the_pages_have_the_place_for_the_tables(modules):
    gpu, _, _ = modules
    for page, markers in (
        (gpu.DOCUMENT, (gpu.BEGIN, gpu.END)),
        (gpu.rollouts.DOCUMENT, (gpu.rollouts.BEGIN, gpu.rollouts.END)),
    ):
        assert [page.read_text().count(marker) for marker in markers] == [1, 1]


def _exhausted(*args):
    raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")


def test_no_part_begins_after_the_time_is_up(modules, monkeypatch, capsys):
    gpu, parts, _ = modules
    monkeypatch.setattr(parts, "PARTS", {"late": lambda sizes, rows: iter([parts.row("x", None, 1.0, "s")])})
    assert main(gpu, monkeypatch, "--quick", "--minutes", "-1") == 0
    assert "late: not begun" in capsys.readouterr().out


def test_an_unknown_part_is_refused_with_those_that_there_are(modules, monkeypatch, capsys):
    gpu, _, _ = modules
    assert main(gpu, monkeypatch, "--parts", "dnq") == 2
    assert "no part dnq; there are device, parity, rollout-v0" in capsys.readouterr().err


def test_ratios_compare_the_best_rates(modules):
    _, parts, _ = modules
    rates = {
        "rollout v0": {1: 4.0, 2: 9.0},
        "vmapped step": {1: 6.0},
        "gymnax CartPole, vmapped step": {1: 3.0, 2: None},
    }
    rows = [parts.row(what, n, x, "patient-steps/s") for what, of in rates.items() for n, x in of.items()]
    found = {row["what"]: row["value"] for row in parts.ratios(parts.QUICK, rows)}
    assert found == {
        "rollout v0 / gymnax CartPole, vmapped step, each at its best": 3.0,
        "vmapped step / gymnax CartPole, vmapped step, each at its best": 2.0,
    }


@pytest.mark.once
def test_loops_of_a_compiled_program_are_counted_with_their_kernels():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import gpu_compile
    finally:
        sys.path.remove(str(BENCHMARKS))
    text = """HloModule jit_f

%body (x: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  %a_fusion = (f32[8]{0}, pred[8]{0}) fusion(%p), kind=kLoop
  ROOT %b = f32[8]{0} copy(%p)
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  %w = f32[8]{0} while(%x), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"250"}}
  ROOT %z = u32[2,3]{1,0} custom-call(%w)
}
"""
    assert list(gpu_compile.loops(text)) == [(0, 1, [("z", 24)]), (1, 250, [("a_fusion", 40), ("b", 32)])]


@pytest.mark.slow
def test_everything_runs_at_small_sizes(tmp_path):
    """All parts, and rows of all of them; a part that fails ends the process with 1."""
    written = tmp_path / "rows.json"
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--quick", "--json", str(written)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "failed" not in shown
    rows = {(row["part"], row["what"]): row["value"] for row in json.loads(written.read_text())}
    assert rows["parity", "noise that differs from the CPU's"] == 0
    assert rows["parity", "HeartPole-v0, golden traces in float32: error"] < 1e-5
    assert rows["parity", "HeartPole-v1, golden traces in float32: error"] < 1e-5
    assert len({part for part, _ in rows}) >= 9
