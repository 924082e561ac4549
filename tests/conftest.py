"""How every test runs: JAX's own checks on, hypothesis without chance.

Rank promotion raises everywhere. So does a key that is used twice, as far as JAX sees it: reading a key's words, which
is what the library's own dice do, counts as no use, but `jax.random.split` and every other `jax.random` function does.
Looking for leaked tracers makes JAX forget its compiled programs, so `leaks_raise` is for the tests that ask for it.

Most of a test is compiling. So programs are compiled without LLVM's optimisations, and by the older of XLA's two ways
to write fused loops, which saves a quarter more; and kept for the other worker and the processes that tests start, in
a folder that lives as long as the tests do. `tests/agents/test_sweep_devices.py` compiles as users do.
"""

import atexit
import importlib.metadata
import os
import shutil
import tempfile

# Before JAX is imported. The workers of pytest-xdist and all processes of the tests inherit these.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="heartpole-compiled-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.3"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
if "xla_backend_optimization_level" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"
    if importlib.metadata.version("jaxlib").startswith("0.10."):  # not known to 0.12, which would end the process
        os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"

import hypothesis
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)

hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None, max_examples=40)
hypothesis.settings.load_profile("fixed")


@pytest.fixture
def x64():
    """64-bit floats for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def leaks_raise():
    """A leaked tracer is an error for one test. Slow: nothing compiled is reused."""
    with jax.check_tracer_leaks(True):
        yield


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs():
    """Other files have other programs, and a process that keeps them all grows to gigabytes."""
    yield
    jax.clear_caches()
