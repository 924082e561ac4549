"""The same study on one device and on eight, and stopped by a signal."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_study

pytestmark = pytest.mark.once

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "tiny.toml"
    path.write_text(tiny_study.HALVING + tiny_study.TOML)
    return path


def start(*arguments, devices=1):
    environment = os.environ | {
        # Not the flags of the tests: without optimisations, programs for one device and for several round differently.
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "agents", *map(str, arguments)], cwd=REPOSITORY, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process, status=0):
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, err
    return out, err


def contents(folder):
    paths = [folder / "results.csv", *sorted((folder / "slices").glob("*.safetensors"))]
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def one_device(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "run"
    finish(start("sweep", study, "--out", folder, "--slice-size", 2))
    return contents(folder)


@pytest.mark.slow
def test_eight_devices_change_no_bit(study, one_device, tmp_path):
    finish(start("sweep", study, "--out", tmp_path / "run", "--slice-size", 2, devices=8))
    found = contents(tmp_path / "run")
    assert len(found) == 7  # four slices, two of the second rung, and the table
    assert found == one_device


@pytest.mark.slow
def test_a_signal_makes_all_devices_save_and_stop(study, one_device, tmp_path):
    command = ["sweep", study, "--out", tmp_path / "run", "--slice-size", 2, "--checkpoint-every", 1]
    process = start(*command, devices=2)
    until = time.monotonic() + 120
    while not list((tmp_path / "run").glob("slices/*/step-*")) and time.monotonic() < until:
        time.sleep(0.02)
    process.terminate()
    _, err = finish(process, status=143)
    assert f"go on with `python -m agents resume {tmp_path / 'run'}`" in err
    finish(start("resume", tmp_path / "run", devices=3))
    assert contents(tmp_path / "run") == one_device
