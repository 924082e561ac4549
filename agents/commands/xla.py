"""How XLA runs small training loops on a CPU; on other devices this changes nothing."""

import os

FLAGS = {
    # Dividing the small products of a small network among threads takes longer than the products.
    "xla_cpu_multi_thread_eigen": "false",
    # One environment's steps as one kernel, and not as twenty (docs/development/speed.md).
    "xla_backend_extra_options": "xla_cpu_small_while_loop_byte_threshold=20000",
}


def prepare() -> None:
    """Adds `FLAGS` to the environment's XLA_FLAGS, but for those that are there. Must come before JAX's first array."""
    given = os.environ.get("XLA_FLAGS", "")
    ours = (f"--{name}={value}" for name, value in FLAGS.items() if name not in given)
    os.environ["XLA_FLAGS"] = " ".join([given, *ours]).strip()
