"""The peers that are not JAX: the tutorial's own package, EnvPool's CartPole, and the limit kernels.

As in contenders.py, each function prepares one cell of the table: (run, patient_steps).
"""

import os
import time

import envpool
import heartpole
import limit_kernel
import numpy as np


def tutorial(envs: int, devices: tuple):
    """The tutorial's package, one patient through episodes of 1000 random steps."""
    env = heartpole.HeartPole()
    actions = np.random.default_rng(0).integers(0, 4, 1000).tolist()

    def run():
        env.log = ""  # it grows for ever and every step copies it: forgetting it now and then is in its favour
        env.reset()
        for action in actions:
            env.step(action)

    return run, len(actions)


def envpool_setting(envs: int, batch: int, threads: int):
    """EnvPool's CartPole-v1: sync mode where the batch is all envs, else async. Random actions drawn beforehand."""
    env = envpool.make_gymnasium("CartPole-v1", num_envs=envs, batch_size=batch, num_threads=threads, seed=0)
    num_steps = 1000 if batch == 1 else max(8, 2**16 // batch)
    actions = np.random.default_rng(0).integers(0, 2, (num_steps, batch)).astype(np.int32)

    def run_sync():
        for action in actions:
            env.step(action)

    def run_async():
        for action in actions:
            env.send(action, env.recv()[-1]["env_id"])

    if batch == envs:
        env.reset()
        return run_sync, num_steps * batch
    env.async_reset()
    return run_async, num_steps * batch


def envpool_cartpole(envs: int, devices: tuple):
    """EnvPool in the fastest of a few settings, tried once each: sync, and async in halves and quarters."""
    batches = {max(1, envs // share) for share in (1, 2, 4)}
    settings = [(envs, batch, threads) for batch in batches for threads in {1, os.cpu_count() or 1}]

    def seconds_a_step(cell):
        run, patient_steps = cell
        run()
        started = time.perf_counter()
        run()
        return (time.perf_counter() - started) / patient_steps

    return min((envpool_setting(*setting) for setting in settings), key=seconds_a_step)


def limit(kernel: str, envs: int, devices: tuple):
    """A limit kernel (see limit_kernel.py), with as many steps as `contenders.rollout`."""
    num_steps = 200 if envs > 2**18 else 1000
    return lambda: limit_kernel.run[kernel](0, envs, num_steps), envs * num_steps
