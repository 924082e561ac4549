"""Two limits: how fast HeartPole with random actions can go on this CPU, whatever one is willing to write.

    python benchmarks/limit_check.py        checks both against heartpole_jax, then times them

The same dynamics as `heartpole_jax.transition` in float32, written for speed alone, in Numba: one loop over envs that
LLVM turns into vector instructions, on all cores. No parameters, no observations, no other environment. What both do
that XLA cannot be made to do:

- a block of envs goes through all its steps in the first-level cache;
- an own 2^x (a polynomial), which vectorises where a library call would not;
- a generator of a few operations that carries its state, where a JAX key is hashed anew for every environment and step.

`equations` computes each of the tutorial's facts as it stands: four sigmoids, an exponential, W / t. `algebra` is what
a patient programmer makes of them: the fatigue is a recurrence, W / t is carried instead of W, fractions are joined.
Its formulas serve this one set of constants and overflow for others.

The generator is xorshift128 (Marsaglia, "Xorshift RNGs", 2003): a bare linear congruence, not fit for use, was hardly
faster.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import njit, prange

f32, u32, i32 = np.float32, np.uint32, np.int32

BLOCK_ENVS = 128  # 13 arrays of 128 envs are 7 KiB: far inside the first-level cache
_LOG2_E = 1.4426950408889634
# 2^x on [-1/2, 1/2]: least squares of the relative error at Chebyshev's points, 8e-8 at most.
_C0, _C1, _C2 = f32(1.0000000710), f32(0.6931469492), f32(0.2402212175)
_C3, _C4, _C5 = f32(0.0555074262), f32(0.0096754597), f32(0.0013266970)
_ROUNDER = f32(1.5 * 2**23)  # added to a small float, leaves its nearest integer in the low bits
RESTED_FATIGUE = f32(np.exp(40 / 10))  # exp((40 - s) / 10) at s = 0
_FATIGUE_FACTOR = f32(np.exp(-1 / 10))
_SLEEP_DECAY = f32(0.97**16)

# All of fast-math but the reassociation, which would cancel the rounding trick in `_exp2`.
_FAST_MATH = {"nnan", "ninf", "nsz", "arcp", "contract"}
_fast = njit(fastmath=_FAST_MATH, error_model="numpy", inline="always")


@numba.extending.intrinsic
def _as_float(typing_context, x):
    """The float32 with the bits of an int32."""
    return numba.types.float32(numba.types.int32), lambda ctx, builder, sig, args: builder.bitcast(
        args[0], ir.FloatType()
    )


@numba.extending.intrinsic
def _as_int(typing_context, x):
    """The int32 with the bits of a float32."""
    return numba.types.int32(numba.types.float32), lambda ctx, builder, sig, args: builder.bitcast(
        args[0], ir.IntType(32)
    )


@_fast
def _exp2(x):
    """2^x for x in [-125, 127]: a polynomial of the fraction, the whole part added to the exponent bits."""
    shifted = x + _ROUNDER
    r = x - (shifted - _ROUNDER)
    fraction = ((((_C5 * r + _C4) * r + _C3) * r + _C2) * r + _C1) * r + _C0
    return _as_float(_as_int(fraction) + (_as_int(shifted) << i32(23)))


@_fast
def _at_least(x, low):
    return x if x > low else low


@_fast
def _at_most(x, high):
    return x if x < high else high


@_fast
def _sigmoid(x):
    return f32(1) / (f32(1) + _exp2(_at_most(_at_least(x * f32(-_LOG2_E), f32(-120)), f32(120))))


@_fast
def equations(action, noise, alertness, hypertension, intoxication, time_since_slept, time_elapsed, work_done):
    """One decision: the reward and the next state, as `heartpole_jax.transition` has it, with counters as floats."""
    u_alertness, u_hypertension, u_intoxication, u_heart_attack = noise
    coffee, beer, sleep = action == 1, action == 2, action == 3
    old_score = work_done / _at_least(time_elapsed, f32(1))

    alertness_dose = f32(1) if coffee else (f32(-0.5) if beer else f32(0))
    alertness = f32(0.7) + f32(0.6) * u_alertness if sleep else alertness + alertness_dose * u_alertness
    hypertension += f32(0.3) * u_hypertension if (coffee | beer) else f32(0)
    intoxication += f32(0.01) + f32(0.02) * u_intoxication if beer else f32(0)
    decay = _SLEEP_DECAY if sleep else f32(1)
    hypertension *= decay
    intoxication *= decay
    time_since_slept = f32(0) if sleep else time_since_slept
    half_hours = f32(17) if sleep else f32(1)

    from_peak = (intoxication - f32(0.135)) * f32(1 / 0.005)
    peak = _exp2(_at_least(from_peak * from_peak * f32(-0.5 * _LOG2_E), f32(-120)))
    ballmer = _sigmoid(f32(50) * (f32(0.05) - intoxication)) + f32(2) * peak
    productivity = alertness * _sigmoid(f32(3) - alertness) * ballmer
    alertness -= _sigmoid((time_since_slept - f32(40)) * f32(0.1))
    hypertension *= f32(0.97)
    intoxication *= f32(0.97)
    time_since_slept += f32(1)
    time_elapsed += half_hours

    heart_attack = u_heart_attack < f32(0.5) * _sigmoid(hypertension - f32(6))
    reward = (productivity - half_hours * old_score) / time_elapsed - (f32(100) if heart_attack else f32(0))
    hypertension = f32(0) if heart_attack else hypertension
    return reward, alertness, hypertension, intoxication, time_since_slept, time_elapsed, work_done + productivity


@_fast
def algebra(action, noise, alertness, hypertension, intoxication, fatigue, time_elapsed, score):
    """One decision: the reward and the next state. `noise` as heartpole_jax.Noise, in its order.

    Two numbers are carried in another form than in `EnvState`: fatigue = exp((40 - time_since_slept) / 10), good for
    900 half-hours without sleep, and score = work_done / time_elapsed.
    """
    u_alertness, u_hypertension, u_intoxication, u_heart_attack = noise
    coffee, beer, sleep = action == 1, action == 2, action == 3

    alertness_dose = f32(1) if coffee else (f32(-0.5) if beer else f32(0))
    alertness = f32(0.7) + f32(0.6) * u_alertness if sleep else alertness + alertness_dose * u_alertness
    hypertension += f32(0.3) * u_hypertension if (coffee | beer) else f32(0)
    intoxication += f32(0.01) + f32(0.02) * u_intoxication if beer else f32(0)
    decay = _SLEEP_DECAY if sleep else f32(1)
    hypertension *= decay
    intoxication *= decay
    fatigue = RESTED_FATIGUE if sleep else fatigue
    half_hours = f32(17) if sleep else f32(1)

    # a sigma(3 - a) (sigma(50 (0.05 - x)) + 2 gauss(x)) over one denominator. The bounds keep 2^x in its range.
    anxiety = f32(1) + _exp2(_at_most(_at_least((alertness - f32(3)) * f32(_LOG2_E), f32(-120)), f32(50)))
    drunk = f32(1) + _exp2((intoxication - f32(0.05)) * f32(50 * _LOG2_E))
    from_peak = intoxication - f32(0.135)
    peak = _exp2(_at_least(from_peak * from_peak * f32(-_LOG2_E / (2 * 0.005**2)), f32(-120)))
    productivity = alertness * (f32(1) + f32(2) * peak * drunk) / (anxiety * drunk)

    alertness -= f32(1) / (f32(1) + fatigue)
    fatigue *= _FATIGUE_FACTOR
    hypertension *= f32(0.97)
    intoxication *= f32(0.97)
    time_elapsed += half_hours

    score_gain = (productivity - half_hours * score) / time_elapsed
    # u < 0.5 sigma(h - 6), without the division
    heart_attack = u_heart_attack * (f32(1) + _exp2((f32(6) - hypertension) * f32(_LOG2_E))) < f32(0.5)
    reward = score_gain - (f32(100) if heart_attack else f32(0))
    hypertension = f32(0) if heart_attack else hypertension
    return reward, alertness, hypertension, intoxication, fatigue, time_elapsed, score + score_gain


@_fast
def xorshift128(w0, w1, w2, w3):
    """The next four words of one environment's generator, of which they are the state as well."""
    n0 = _xorshift(w0, w3)
    n1 = _xorshift(w1, n0)
    n2 = _xorshift(w2, n1)
    n3 = _xorshift(w3, n2)
    return n0, n1, n2, n3


@_fast
def _xorshift(oldest, newest):
    # Numba makes 64-bit integers of 32-bit ones wherever it can; every u32() around a result takes that back.
    t = u32(oldest ^ u32(oldest << u32(11)))
    return u32(t ^ (t >> u32(8)) ^ newest ^ (newest >> u32(19)))


@_fast
def _uniform(word):
    """24 bits as a float32 in [0, 1); through int32, whose conversion is one instruction."""
    return f32(i32(word >> u32(8))) * f32(2**-24)


@_fast
def _hash(x):
    """MurmurHash3's finaliser: seeds every environment's generator."""
    x = u32((x ^ (x >> u32(16))) * u32(0x85EBCA6B))
    x = u32((x ^ (x >> u32(13))) * u32(0xC2B2AE35))
    return u32(x ^ (x >> u32(16)))


def _runner(transition, rested):
    """`run(seed, num_envs, num_steps)` for one of the two; `rested` is its fourth variable on waking up."""

    @njit(fastmath=_FAST_MATH, error_model="numpy")
    def run_block(seed, first_env, num_steps, returns):
        words = np.empty((4, BLOCK_ENVS), u32)
        alertness, awake = np.empty(BLOCK_ENVS, f32), np.empty(BLOCK_ENVS, f32)
        hypertension, intoxication = np.zeros(BLOCK_ENVS, f32), np.zeros(BLOCK_ENVS, f32)
        time_elapsed, work, total = np.zeros(BLOCK_ENVS, f32), np.zeros(BLOCK_ENVS, f32), np.zeros(BLOCK_ENVS, f32)
        for i in range(BLOCK_ENVS):
            start = _hash(u32(_hash(u32(seed)) + u32(first_env + i)))
            for j in range(4):
                words[j, i] = _hash(u32(start + u32(j)))
            alertness[i] = f32(0.7) + f32(0.6) * _uniform(_hash(u32(start + u32(4))))
            awake[i] = rested
        for _ in range(num_steps):
            for i in range(BLOCK_ENVS):
                n0, n1, n2, n3 = xorshift128(words[0, i], words[1, i], words[2, i], words[3, i])
                words[0, i], words[1, i], words[2, i], words[3, i] = n0, n1, n2, n3
                action = i32(n0 & u32(3))  # two of the eight bits that the uniform leaves over
                noise = (_uniform(n0), _uniform(n1), _uniform(n2), _uniform(n3))
                (
                    reward, alertness[i], hypertension[i], intoxication[i], awake[i], time_elapsed[i], work[i],
                ) = transition(
                    action, noise,
                    alertness[i], hypertension[i], intoxication[i], awake[i], time_elapsed[i], work[i],
                )  # fmt: skip
                total[i] += reward
        for i in range(BLOCK_ENVS):
            returns[first_env + i] = total[i]

    @njit(parallel=True)
    def run_blocks(seed, num_envs, num_steps):
        returns = np.empty(num_envs, f32)
        for block in prange(num_envs // BLOCK_ENVS):
            run_block(seed, block * BLOCK_ENVS, num_steps, returns)
        return returns

    def run(seed, num_envs, num_steps):
        """Returns of random actions, float32 of shape (num_envs,), a multiple of BLOCK_ENVS; on all cores."""
        if num_envs % BLOCK_ENVS:
            raise ValueError(f"num_envs must be a multiple of {BLOCK_ENVS}, got {num_envs}")
        return run_blocks(seed, num_envs, num_steps)

    return run


RESTED = {"equations": f32(0), "algebra": RESTED_FATIGUE}
TRANSITIONS = {"equations": equations, "algebra": algebra}
run = {name: _runner(transition, RESTED[name]) for name, transition in TRANSITIONS.items()}
