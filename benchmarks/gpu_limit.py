"""The limit that gpu.py measures beside `rollout`: HeartPole-v0 with random actions as one CUDA kernel.

Written by hand for these equations, each patient in registers, with a cheap generator.
"""

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
