"""Two kernels that gpu.py measures beside `rollout`: HeartPole-v0 with random actions, each patient in registers.

`pallas` is a Pallas kernel for Mosaic GPU, with the library's own `transition` and `threefry`: what one launch for a
whole episode gains over a scan. `cuda` is written by hand for these equations with a cheap generator: what the card
can do.
"""

import functools

import jax
import jax.numpy as jnp
from jax.extend.core import Literal
from jax.interpreters import partial_eval

import heartpole_jax as hp
from heartpole_jax import threefry

BLOCK = 128  # patients of a block, one a thread of a warpgroup


def random_returns(words: dict, patient: jax.Array, num_steps: int) -> jax.Array:
    """The returns of random actions, (patients,): what `rollout(policies.uniformly_random())` sums for these patients.

    `words` are the two hashed words of each use of the key: "noise", "policy" and "start", as in rollout.py. Only
    operations on whole vectors, so that it can be the body of a kernel.
    """
    zero = jnp.zeros_like(patient)
    block = lambda use, time, index: threefry.threefry2x32(
        (words[use][0] + patient, words[use][1] + zero + time), (jnp.full_like(patient, index), zero)
    )
    wake_up = threefry.as_uniform(block("start", jnp.uint32(0), 4)[0])
    state = _elementwise(lambda u: hp.initial_state(u, hp.EnvParams()), wake_up)

    def step(time, carry):
        state, total = carry
        time = time.astype(jnp.uint32)
        drawn = (*block("noise", time, 0), *block("noise", time, 1))
        alertness, heart_attack, hypertension, intoxication = map(threefry.as_uniform, drawn)
        noise = hp.Noise(
            alertness=alertness, hypertension=hypertension, intoxication=intoxication, heart_attack=heart_attack
        )
        action = (block("policy", time, 0)[0] >> 30).astype(jnp.int32)  # the high bits, as in `threefry.random_int`
        state, reward = _elementwise(_state_and_reward, state, action, noise)
        return state, total + reward

    return jax.lax.fori_loop(0, num_steps, step, (state, zero.astype(jnp.float32)))[1]


def _state_and_reward(state, action, noise):
    state, _, reward, _ = hp.transition(state, action, noise, hp.EnvParams())
    return state, reward


def _elementwise(function, *args):
    """`jax.vmap(function)(*args)` with loops of known length written out and everything unused left out."""
    closed, form = jax.make_jaxpr(jax.vmap(function), return_shape=True)(*args)
    jaxpr, used = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    leaves = [leaf for leaf, keep in zip(jax.tree.leaves(args), used, strict=True) if keep]
    return jax.tree.unflatten(jax.tree.structure(form), _evaluate(jaxpr, closed.consts, leaves))


def _evaluate(jaxpr, consts, args):
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
    read = lambda x: x.val if isinstance(x, Literal) else values[x]
    for eqn in jaxpr.eqns:
        given = list(map(read, eqn.invars))
        if eqn.primitive.name in ("jit", "pjit"):
            inner = eqn.params["jaxpr"]
            out = _evaluate(inner.jaxpr, inner.consts, given)
        elif eqn.primitive.name == "scan":
            inner, num_consts = (
                eqn.params["jaxpr"],
                len(eqn.invars) - len(eqn.outvars),
            )  # a `fori_loop`: all else is carried
            out = given[num_consts:]
            for _ in range(eqn.params["length"]):
                out = _evaluate(inner.jaxpr, inner.consts, [*given[:num_consts], *out])
        else:
            out = eqn.primitive.bind(*given, **eqn.params)
            out = out if eqn.primitive.multiple_results else [out]
        values |= zip(eqn.outvars, out, strict=True)
    return list(map(read, jaxpr.outvars))


def words_of(key: jax.Array) -> dict:
    """The words that `random_returns` takes, of a key: as `rollout` derives them."""
    return {use: threefry.derive(key, purpose) for purpose, use in enumerate(("noise", "policy", "start"))}


@functools.partial(jax.jit, static_argnames=("num_envs", "num_steps", "interpret"))
def pallas(key: jax.Array, num_envs: int, num_steps: int, interpret: bool = False) -> jax.Array:
    """Returns of random actions, (num_envs,), a multiple of `BLOCK`: one kernel, on a GPU of Hopper's kind or later."""
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import mosaic_gpu as plgpu

    if num_envs % BLOCK:
        raise ValueError(f"num_envs must be a multiple of {BLOCK}, got {num_envs}")
    layout = plgpu.Layout.WG_STRIDED((BLOCK,), vec_size=1)

    def kernel(words, out):
        first = jax.lax.axis_index("block") * BLOCK
        patient = plgpu.layout_cast(jax.lax.broadcasted_iota(jnp.int32, (BLOCK,), 0), layout)
        uses = {use: (words[2 * i], words[2 * i + 1]) for i, use in enumerate(("noise", "policy", "start"))}
        out[pl.ds(first, BLOCK)] = random_returns(uses, (patient + first).astype(jnp.uint32), num_steps)

    words = jnp.stack([word for pair in words_of(key).values() for word in pair])
    return plgpu.kernel(
        kernel,
        out_type=jax.ShapeDtypeStruct((num_envs,), jnp.float32),
        grid=(num_envs // BLOCK,),
        grid_names=("block",),
        interpret=plgpu.InterpretGPUParams() if interpret else None,
    )(words)


# The equations as they stand, one thread a patient. xorshift128: Marsaglia, "Xorshift RNGs", 2003.
CUDA_SOURCE = r"""
__device__ float sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }
__device__ float uniform(unsigned word) { return (float)(int)(word >> 8) * 5.9604644775390625e-8f; }
__device__ unsigned hash(unsigned x) {
    x = (x ^ (x >> 16)) * 0x85EBCA6Bu;
    x = (x ^ (x >> 13)) * 0xC2B2AE35u;
    return x ^ (x >> 16);
}
__device__ unsigned shift(unsigned oldest, unsigned newest) {
    unsigned t = oldest ^ (oldest << 11);
    return t ^ (t >> 8) ^ newest ^ (newest >> 19);
}

extern "C" __global__ void random_returns(unsigned seed, int num_steps, int num_envs, float* returns) {
    int patient = blockIdx.x * blockDim.x + threadIdx.x;
    if (patient >= num_envs) return;
    unsigned start = hash(hash(seed) + patient);
    unsigned w0 = hash(start), w1 = hash(start + 1), w2 = hash(start + 2), w3 = hash(start + 3);
    float alertness = 0.7f + 0.6f * uniform(hash(start + 4)), hypertension = 0.0f, intoxication = 0.0f;
    float awake = 0.0f, elapsed = 0.0f, work = 0.0f, total = 0.0f;
    for (int step = 0; step < num_steps; ++step) {
        w0 = shift(w0, w3); w1 = shift(w1, w0); w2 = shift(w2, w1); w3 = shift(w3, w2);
        unsigned action = w0 & 3u;
        bool coffee = action == 1, beer = action == 2, sleep = action == 3;
        float old_score = __fdividef(work, fmaxf(elapsed, 1.0f));
        float dose = coffee ? 1.0f : beer ? -0.5f : 0.0f, hours = sleep ? 17.0f : 1.0f;
        alertness = sleep ? 0.7f + 0.6f * uniform(w0) : alertness + dose * uniform(w0);
        hypertension += (coffee || beer) ? 0.3f * uniform(w1) : 0.0f;
        intoxication += beer ? 0.01f + 0.02f * uniform(w2) : 0.0f;
        float left = sleep ? 0.6142544f : 1.0f;  // 0.97^16
        hypertension *= left; intoxication *= left;
        awake = sleep ? 0.0f : awake;
        float from_peak = (intoxication - 0.135f) * 200.0f;
        float ballmer = sigmoid(50.0f * (0.05f - intoxication)) + 2.0f * __expf(-0.5f * from_peak * from_peak);
        float productivity = alertness * sigmoid(3.0f - alertness) * ballmer;
        alertness -= sigmoid((awake - 40.0f) * 0.1f);
        hypertension *= 0.97f; intoxication *= 0.97f;
        awake += 1.0f; elapsed += hours;
        bool attack = uniform(w3) < 0.5f * sigmoid(hypertension - 6.0f);
        total += __fdividef(productivity - hours * old_score, elapsed) - (attack ? 100.0f : 0.0f);
        hypertension = attack ? 0.0f : hypertension;
        work += productivity;
    }
    returns[patient] = total;
}
"""


def cuda(num_envs: int, num_steps: int):
    """A function of a seed that runs the hand-written kernel and waits: the returns, a CuPy array (num_envs,)."""
    import cupy

    kernel = cupy.RawKernel(CUDA_SOURCE, "random_returns", options=("--use_fast_math",))
    returns = cupy.empty(num_envs, cupy.float32)

    def run(seed: int = 1):
        kernel(
            (-(-num_envs // 256),), (256,), (cupy.uint32(seed), cupy.int32(num_steps), cupy.int32(num_envs), returns)
        )
        cupy.cuda.runtime.deviceSynchronize()
        return returns

    return run
