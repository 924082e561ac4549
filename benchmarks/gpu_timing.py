"""Programs timed for gpu.py: all compiled at once, each timed alone; a rate is the median of three timings."""

import contextlib
import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import jax


def row(what: str, size: int | None, value: float | None, unit: str, note: str = "") -> dict:
    return {"what": what, "size": size, "value": value, "unit": unit, "note": note}


@dataclasses.dataclass(frozen=True)
class Cell:
    """A program to time: `function(*make_args())` does `work` units once."""

    what: str
    size: int
    function: Callable
    make_args: Callable[[], tuple]
    work: float
    unit: str = "patient-steps/s"
    feeds_back: bool = False  # its first result is its next first argument, which it may write over
    options: tuple[tuple[str, Any], ...] = ()  # of XLA's compiler
    patched: tuple[tuple[Any, dict[str, Any]], ...] = ()  # what it is traced with: values of names in modules


def measure(cells: list[Cell], at_least: float) -> Iterator[dict]:
    """A row for each cell, timed for three times `at_least` seconds. All are compiled first, several at a time."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiled = [pool.submit(_compile, cell, _lowered(cell)) for cell in cells]
        for cell, future in zip(cells, compiled, strict=True):
            try:
                program, seconds = future.result()
                rate = cell.work / _seconds(cell, program, at_least)
                yield row(cell.what, cell.size, rate, cell.unit, f"compiled in {seconds:.0f} s")
            except Exception as error:
                yield row(cell.what, cell.size, None, cell.unit, why(error))


def why(error: Exception) -> str:
    """One line on what went wrong."""
    line = (str(error).strip().splitlines() or [""])[0][:160]
    return f"does not fit: {line}" if "RESOURCE_EXHAUSTED" in line else f"{type(error).__name__}: {line}"


def _lowered(cell: Cell) -> Any:
    with contextlib.ExitStack() as stack:
        for module, values in cell.patched:
            stack.enter_context(mock.patch.multiple(module, **values))
        if cell.patched:
            jax.clear_caches()  # of what was traced with other values
        donate = 0 if cell.feeds_back else ()
        return jax.jit(cell.function, donate_argnums=donate).lower(*jax.eval_shape(cell.make_args))


def _compile(cell: Cell, lowered: Any) -> tuple[Callable, float]:
    began = time.perf_counter()
    program = lowered.compile(compiler_options=dict(cell.options))
    return program, time.perf_counter() - began


def _seconds(cell: Cell, program: Callable, at_least: float) -> float:
    """Seconds of a call, the median of three timings of `at_least` each."""
    args = jax.jit(cell.make_args)()

    def call(args):
        result = program(*args)
        return (result[0], *args[1:]) if cell.feeds_back else args, result

    def timed(calls, args):
        began = time.perf_counter()
        for _ in range(calls):
            args, result = call(args)
        jax.block_until_ready(result)
        return (time.perf_counter() - began) / calls, args

    _, args = timed(1, args)
    once, args = timed(1, args)
    calls = max(1, round(at_least / once))
    found = []
    for _ in range(3):
        seconds, args = timed(calls, args)
        found.append(seconds)
    return statistics.median(found)
