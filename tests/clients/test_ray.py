"""Sweeps on a real Ray cluster of two nodes: a node lost, the driver lost, and clusters that will not do."""

import importlib.util
import os
import random
import socket
import types
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("ray") is None:  # found and not imported: Ray reads the environment when it is
    pytest.skip("Ray is not installed", allow_module_level=True)

REPOSITORY = Path(__file__).parents[2]
BENCHMARK = REPOSITORY / "benchmarks" / "ray_nodes.py"


@pytest.fixture(scope="module")
def ray_nodes():
    """benchmarks/ray_nodes.py, and the environment in which Ray listens on 127.0.0.1 alone."""
    before = dict(os.environ)
    spec = importlib.util.spec_from_file_location("ray_nodes", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def cluster(ray_nodes):
    with ray_nodes.Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return Path(os.environ.get("JAX_COMPILATION_CACHE_DIR") or tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def local(ray_nodes, cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("local") / "run"
    ray_nodes.finish(ray_nodes.start(*ray_nodes.sweep(folder, None), cache=cache))
    return ray_nodes.contents(folder)


def fails(ray_nodes, cache, *arguments):
    """What the command prints on stderr, having ended with status 2."""
    process = ray_nodes.start(*arguments, cache=cache)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    return err.strip().splitlines()[-1]


@pytest.mark.slow
def test_a_node_lost_while_it_trains_changes_no_byte(ray_nodes, cluster, local, cache, tmp_path):
    said = ray_nodes.lose_a_node(tmp_path / "run", cluster, random.Random(0), False, cache)
    assert "killed" in said
    found = ray_nodes.contents(tmp_path / "run")
    assert len(found) == 7  # four slices, two of the second rung, and the table
    assert found == local


@pytest.mark.slow
def test_a_driver_lost_and_resumed_changes_no_byte(ray_nodes, cluster, local, cache, tmp_path):
    ray_nodes.lose_the_driver(tmp_path / "run", cluster, random.Random(1), True, cache, most_kills=1)
    assert ray_nodes.contents(tmp_path / "run") == local


@pytest.mark.slow
def test_a_cluster_whose_nodes_are_too_small_is_refused(ray_nodes, cluster, cache, tmp_path):
    said = fails(ray_nodes, cache, *ray_nodes.sweep(tmp_path / "run", cluster), "--ray-cpus", 3)
    assert "has 3 CPUs and 0 GPUs, the largest 1 and 0: see --ray-cpus and --ray-gpus" in said


def test_an_address_without_ray_is_one_line_at_once(ray_nodes, cache, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    said = fails(ray_nodes, cache, *ray_nodes.sweep(tmp_path / "run", None), "--ray", address)
    assert said.startswith(f"error: nothing answers at {address} (Connection refused); `ray start --head` prints ")
    assert not (tmp_path / "run" / "study.json").exists()


@pytest.mark.parametrize("name", ["jax", "platform", "float"])
def test_a_node_of_another_kind_is_refused_by_name(ray_nodes, monkeypatch, name):
    from agents.sweeps import ray_executor, study_folder

    monkeypatch.setattr(ray_executor.ray.util, "get_node_ip_address", lambda: "10.0.0.7")
    versions = study_folder.versions()
    with pytest.raises(
        ValueError, match=rf"the node 10\.0\.0\.7 of the Ray cluster has {name} {versions[name]}, and this"
    ):
        ray_executor._train(types.SimpleNamespace(), None, None, versions | {name: "other"})


@pytest.mark.slow
def test_what_fails_on_a_node_is_raised_here_as_what_it_was(ray_nodes, cluster):
    """A slice whose set-up cannot be: the error's own words, and no stack of Ray's."""
    from agents.sweeps import ray_executor

    executor = ray_executor.RayExecutor(cluster.address, ray_executor.Share())
    try:
        executor._versions = executor._versions | {"jax": "0.0.1"}
        spec = types.SimpleNamespace(task="a")
        executor.submit(spec, None, lambda chunk, seconds: None)
        with pytest.raises(ValueError, match=r"^the node .* has jax .*, and this machine 0\.0\.1: results would not"):
            executor.wait()
        executor.submit(spec, lambda: {"x": np.zeros(2)}, lambda chunk, seconds: None)
        executor.stop()
        assert executor._tasks == {}
    finally:
        executor.close()


def test_flags_for_ray_without_it_are_refused(ray_nodes, cache, tmp_path):
    said = fails(ray_nodes, cache, *ray_nodes.sweep(tmp_path / "run", None), "--ray-checkpoints")
    assert said == "error: --ray-cpus, --ray-gpus and --ray-checkpoints go with --ray"
