"""How every test runs: JAX's own checks on, hypothesis without chance, programs as `compiling` says.

Rank promotion raises everywhere. Looking for leaked tracers and for keys that are used twice takes JAX as long as all
else, so `leaks_raise` and `reused_keys_raise` are for the tests that ask for them.
"""

import compiling  # sets the environment, before JAX reads it

# isort: split

import gc
import resource

import hypothesis
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None, max_examples=40)
hypothesis.settings.load_profile("fixed")


gc.set_threshold(50_000, 20, 50)  # tracing makes many objects, and few cycles


def pytest_sessionstart(session):
    if not hasattr(session.config, "workerinput"):  # once, and not in every worker of pytest-xdist
        compiling.remove_oldest()


@pytest.fixture(scope="session")
def warnings_raise(pytestconfig):
    """Python's options for a process where warnings are errors, but for those that pytest's own -W lets pass."""
    return ["-W", "error", *(f"-W{option}" for option in pytestconfig.getoption("pythonwarnings") or [])]


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


@pytest.fixture
def reused_keys_raise():
    """A key that is used twice is an error for one test, as far as JAX sees it.

    Reading a key's words, as the library's own noise does, counts as no use; every `jax.random` function does.
    """
    with jax.debug_key_reuse(True):
        yield


@pytest.fixture(scope="module", autouse=True)
def forget_compiled_programs():
    """A process that keeps the programs of all files grows to gigabytes; below 3, what files share is kept."""
    yield
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 3_000_000:  # KiB
        jax.clear_caches()
