"""How the tests compile: quickly, and once.

Imported before JAX, it sets the environment of this process and of all that it starts.

Most of a test is compiling. So programs are compiled without LLVM's optimisations, and by the older of XLA's two ways
to write fused loops, which saves a quarter more. What is compiled, small programs too, is kept between runs in a folder
below .pytest_cache: one for each kind of processor and versions of Python, JAX and jaxlib. XLA's flags are part of
JAX's own keys.
"""

import contextlib
import importlib.metadata
import os
import platform
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

FOLDER = Path(__file__).parent.parent / ".pytest_cache" / "compiled"
MAX_BYTES = 500_000_000
OPTIMISED = {"xla_backend_optimization_level": 2}  # for jax.jit(compiler_options=...), where running takes longest


@contextlib.contextmanager
def optimised() -> Iterator[None]:
    """What is compiled within is optimised: for a program of the library's that runs longer than it compiles."""
    from jax._src import compiler

    plain = compiler.get_compile_options

    def get_compile_options(*args, env_options_overrides=None, **options):
        return plain(*args, env_options_overrides={**(env_options_overrides or {}), **OPTIMISED}, **options)

    with mock.patch.object(compiler, "get_compile_options", get_compile_options):
        yield


def remove_oldest() -> None:
    """Removes folders of compiled programs, the longest unused first, until the rest has at most MAX_BYTES."""
    folders = sorted(FOLDER.glob("*"), key=lambda folder: folder.stat().st_mtime)
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in folders]
    while sum(sizes) > MAX_BYTES:
        sizes.pop(0)
        shutil.rmtree(folders.pop(0), ignore_errors=True)


def _set_environment() -> None:
    """Sets JAX's cache and XLA's flags, where the environment does not."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        versions = [importlib.metadata.version(package) for package in ("jax", "jaxlib")]
        name = "-".join([platform.python_version(), *versions, _processor()])
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(FOLDER / name)
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_backend_optimization_level" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_backend_optimization_level=0"
        if importlib.metadata.version("jaxlib").startswith("0.10."):  # 0.12 does not know it, and ends the process
            os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"


def _processor() -> str:
    """A program is for the instructions of one kind of processor."""
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        flags = platform.processor()
    return f"{platform.machine()}-{zlib.crc32(flags.encode()):08x}"


_set_environment()
