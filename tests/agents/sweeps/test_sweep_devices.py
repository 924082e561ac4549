"""The same study on one device, on eight, and in two processes of four each; processes that die or do not come."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
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


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def together(command, num=2, devices=4, port=None):
    address = f"127.0.0.1:{port or free_port()}"
    flags = ["--distributed", "--coordinator", address, "--num-processes", num, "--timeout", 60]
    return [start(*command, *flags, "--process-id", i, devices=devices) for i in range(num)]


def contents(folder):
    paths = [folder / "results.csv", *sorted((folder / "slices").glob("*.safetensors"))]
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def one_device(study, tmp_path_factory):
    """Only with JAX 0.10 does a lone device round as two and more do (docs/sweeps.md): two devices with others."""
    folder = tmp_path_factory.mktemp("one") / "run"
    lone = jax.__version_info__[:2] == (0, 10)
    finish(start("sweep", study, "--out", folder, "--slice-lanes", 2, devices=1 if lone else 2))
    return contents(folder)


@pytest.mark.slow
def test_eight_devices_change_no_bit(study, one_device, tmp_path):
    finish(start("sweep", study, "--out", tmp_path / "run", "--slice-lanes", 2, devices=8))
    found = contents(tmp_path / "run")
    assert len(found) == 7  # four slices, two of the second rung, and the table
    assert found == one_device


@pytest.mark.slow
def test_two_processes_of_four_devices_change_no_bit(study, one_device, tmp_path):
    for process in together(["sweep", study, "--out", tmp_path / "run", "--slice-lanes", 2]):
        finish(process)
    assert contents(tmp_path / "run") == one_device


@pytest.mark.slow
def test_one_process_dying_ends_the_other_and_one_process_alone_goes_on(study, one_device, tmp_path):
    command = ["sweep", study, "--out", tmp_path / "run", "--slice-lanes", 2, "--checkpoint-every", 1]
    first, second = together(command, devices=1)
    until = time.monotonic() + 120
    while not list((tmp_path / "run").glob("slices/*")) and time.monotonic() < until:
        time.sleep(0.05)
    second.kill()
    second.communicate()
    _, err = first.communicate(timeout=120)
    assert first.returncode != 0
    assert "another process is gone" in err or "another task died" in err  # ours, or JAX's own where it is faster
    finish(start("resume", tmp_path / "run", devices=3))
    assert contents(tmp_path / "run") == one_device


@pytest.mark.slow
def test_a_signal_to_one_process_makes_both_save_and_stop(study, one_device, tmp_path):
    pair = together(["sweep", study, "--out", tmp_path / "run", "--slice-lanes", 2, "--checkpoint-every", 1], devices=1)
    until = time.monotonic() + 120
    while not list((tmp_path / "run").glob("slices/*/step-*")) and time.monotonic() < until:
        time.sleep(0.02)
    pair[1].terminate()
    told = [process.communicate(timeout=120)[1] for process in pair]
    assert [process.returncode for process in pair] == [143, 143]
    assert f"go on with `python -m agents resume {tmp_path / 'run'}`" in told[0]
    for process in together(["resume", tmp_path / "run"], devices=1):
        finish(process)
    assert contents(tmp_path / "run") == one_device


def test_processes_with_different_studies_all_say_so(study, tmp_path):
    port = free_port()
    command = ["sweep", study, "--out", tmp_path / "run"]
    flags = ["--distributed", "--coordinator", f"127.0.0.1:{port}", "--num-processes", 2]
    pair = [start(*command, *flags, "--process-id", 0), start(*command, "--seeds", 3, *flags, "--process-id", 1)]
    told = [process.communicate(timeout=120)[1] for process in pair]
    assert all(process.returncode for process in pair)
    assert any("the processes must have the same study: process 1 has another than process 0" in err for err in told)


def test_a_coordinator_that_does_not_answer_is_a_message_and_no_wait(study, tmp_path):
    flags = ["--distributed", "--coordinator", f"127.0.0.1:{free_port()}", "--num-processes", 2, "--timeout", 2]
    began = time.monotonic()
    _, err = finish(start("sweep", study, "--out", tmp_path / "run", *flags, "--process-id", 1), status=2)
    assert "did not answer within 2 s" in err
    assert time.monotonic() - began < 60


def test_a_coordinator_whose_processes_do_not_come_is_a_message_and_no_wait(study, tmp_path):
    flags = ["--distributed", "--coordinator", f"127.0.0.1:{free_port()}", "--num-processes", 2, "--timeout", 2]
    began = time.monotonic()
    _, err = finish(start("sweep", study, "--out", tmp_path / "run", *flags, "--process-id", 0), status=2)
    assert "not all of 2 processes have come to the coordinator" in err
    assert time.monotonic() - began < 60
