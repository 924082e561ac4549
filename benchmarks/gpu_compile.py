"""What XLA makes of our programs on a GPU, without one: kernels and bytes of every loop, for a described H100.

    pip install --no-deps jax-cuda13-plugin==VERSION jax-cuda13-pjrt==VERSION     of the installed jax's version
    python benchmarks/gpu_compile.py [rollout-v0 rollout-v1 dqn] [--patients 1048576] [--trials 1024] [-v]

XLA's GPU compiler runs on any machine; autotuning, which needs the card, is left out. A loop's kernels are launched in
each of its turns; "written" is what they write, and the arrays that they update in place count whole.
"""

import argparse
import os
import pathlib
import re
import sys
import time

# Registering JAX's CUDA plugin asks for cuDNN and the like, which compiling does not need.
os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import jax
from jax.experimental import topologies

# From NVIDIA's data sheet of the H100 SXM, and the limits of compute capability 9.0 in the CUDA C++ programming guide.
H100 = """
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 10 }
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  memory_bandwidth: 3352320000000 device_memory_size: 84978434048 l2_cache_size: 52428800
  cuda_compute_capability { major: 9 minor: 0 }
}
"""
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "c64": 8, "f64": 8, "s64": 8}
KERNELS = {"fusion", "copy", "custom-call", "dynamic-update-slice", "dynamic-slice", "reduce", "broadcast", "iota",
           "add", "concatenate", "compare", "slice", "convert", "transpose", "sort", "dot"}  # fmt: skip


def compiled(function, *args) -> str:
    """XLA's program for the H100, as text; `args` are arrays or shapes."""
    topology = topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1")
    there = jax.sharding.SingleDeviceSharding(topology.devices[0])
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=there), args)
    return jax.jit(function).trace(*shapes).lower().compile().as_text()


def loops(text: str):
    """(depth, turns, [(kernel, bytes written)]) of the program itself and of each loop in it, outermost first."""
    computations: dict[str, list[str]] = {}
    entry, lines = "", None
    for line in text.splitlines():
        begins = re.match(r"^(ENTRY )?%?([\w.\-]+) .*\{$", line)
        if begins:
            lines = computations.setdefault(begins[2], [])
            entry = begins[2] if begins[1] else entry
        elif lines is not None:
            lines.append(line)

    def walk(name, depth, turns):
        kernels, inner = [], []
        for line in computations[name]:
            found = re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([\w\-]+)\(", line)
            if not found:
                continue
            if found[3] == "while":
                known = re.search(r'known_trip_count":\{"n":"(\d+)', line)
                body = re.search(r"body=%?([\w.\-]+)", line)[1]
                inner.append((body, int(known[1]) if known else None))
            elif found[3] in KERNELS:
                kernels.append((found[1], _bytes(found[2])))
        yield depth, turns, kernels
        for body, trips in inner:
            yield from walk(body, depth + 1, trips)

    yield from walk(entry, 0, 1)


def _bytes(shapes: str) -> int:
    total = 0
    for kind, sizes in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
        count = BYTES.get(kind, 0)
        for size in filter(None, sizes.split(",")):
            count *= int(size)
        total += count
    return total


def programs(args) -> dict:
    """name -> (function, args)."""
    import heartpole_jax as hp
    from agents import dqn
    from agents.dqn.config import DQNConfig, Hyperparams

    key, policy = jax.eval_shape(lambda: jax.random.key(0)), hp.policies.uniformly_random()

    def rolled(name):
        env = hp.make(name)
        return lambda key: hp.rollout(policy, key, env=env, num_envs=args.patients, num_steps=1000).totals

    def population(keys):
        config = DQNConfig(hidden_sizes=(16, 16), buffer_size=65_536)
        train = lambda key: dqn.train(key, Hyperparams(), config, num_chunks=1, iterations_per_chunk=1024)
        return jax.vmap(train)(keys).best_weights

    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), args.trials))
    return {
        "rollout-v0": (rolled("HeartPole-v0"), key),
        "rollout-v1": (rolled("HeartPole-v1"), key),
        "dqn": (population, keys),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PROGRAM", help="rollout-v0, rollout-v1, dqn (default: all)")
    parser.add_argument("--patients", type=int, default=1_048_576)
    parser.add_argument("--trials", type=int, default=1_024)
    parser.add_argument("-v", "--verbose", action="store_true", help="every kernel by name")
    args = parser.parse_args()
    # Traced as for an accelerator, though the arrays of tracing live here.
    from heartpole_jax import platforms

    jax.config.update("jax_platforms", "cpu")
    platforms.default_platform = lambda: "gpu"
    known = programs(args)
    for name in args.names or known:
        if name not in known:
            parser.error(f"no program {name!r}; there are {', '.join(known)}")
    for name in args.names or known:
        began = time.perf_counter()
        try:
            text = compiled(*known[name])
        except NotImplementedError as error:
            sys.exit(f"{error}: JAX's CUDA plugin is missing; install it as --help says")
        print(f"\n{name}, compiled in {time.perf_counter() - began:.0f} s")
        for depth, turns, kernels in loops(text):
            written = sum(size for _, size in kernels)
            print(f"{'  ' * depth}{turns} turns of {len(kernels)} kernels, written {written:,} bytes a turn")
            for kernel, size in kernels if args.verbose else ():
                print(f"{'  ' * depth}  {size:14,} {kernel}")


if __name__ == "__main__":
    main()
