"""What every `Environment` promises, as one function that anyone can run on theirs: `check_environment(env)`."""

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax import Environment

NUM_ENVS = 3
NUM_STEPS = 6


def check_environment(env: Environment, params=None, num_steps: int = NUM_STEPS) -> None:
    """Raises AssertionError where `env` breaks the contract within `num_steps` decisions.

    Shapes and dtypes; no weak types, so no second compilation; the state left alone; jit, vmap and scan the same as
    plain calls; no array of a plain reset two leaves'; `step` the same as `sample_noise` and `transition`; `obs` what
    `observe` says; `done` the time limit, where there is one, or a true end, and nothing resets;
    everything finite.
    """
    params = env.default_params if params is None else params
    key_data = np.asarray(
        jax.random.key_data(jax.random.split(jax.random.key(0), (NUM_ENVS, num_steps + 1)))
    )  # and not keys: to compare two ways is to use each key twice
    actions = (np.arange(NUM_ENVS * num_steps) % env.num_actions).reshape(NUM_ENVS, num_steps).astype(np.int32)

    traces = {"reset": 0, "step": 0}

    def reset(key, params):
        traces["reset"] += 1
        return env.reset(key, params)

    def step(state, action, key, params):
        traces["step"] += 1
        return env.step(state, action, key, params)

    reset, step = jax.jit(reset), jax.jit(step)

    def episode(index):
        keys = jax.random.wrap_key_data(key_data[index])
        state, obs = reset(keys[0], params)
        _check_start(env, state, obs)
        trajectory = []
        for time in range(num_steps):
            before = jax.device_get(state)
            result = step(state, jnp.asarray(actions[index, time]), keys[time + 1], params)
            _same(before, state, "the state was changed by a step", exact=True)
            _check_step(env, state, result, params, time + 1)
            state = result[0]
            trajectory.append(result)
        return jax.tree.map(lambda *x: np.stack(x), *trajectory)

    looped = jax.tree.map(lambda *x: np.stack(x), *[episode(index) for index in range(NUM_ENVS)])
    assert traces == {"reset": 1, "step": 1}, f"compiled again for another state, action or key: {traces}"

    _check_parts(env, params, key_data[0], actions[0])
    _check_plain_calls(env, params, key_data[0], actions[0], jax.tree.map(lambda x: x[0, 0], looped))

    def scanned(key_data, actions):
        keys = jax.random.wrap_key_data(key_data)
        state, _ = env.reset(keys[0], params)

        def body(state, action_and_key):
            result = env.step(state, *action_and_key, params)
            return result[0], result

        return jax.lax.scan(body, state, (actions, keys[1:]))[1]

    _same(looped, jax.jit(jax.vmap(scanned))(key_data, actions), "vmap and scan differ from single steps")


def _check_start(env, state, obs):
    floats = jnp.result_type(float)
    assert obs.shape == env.obs_shape, f"reset: obs of shape {obs.shape}, not {env.obs_shape}"
    assert obs.dtype == floats, f"reset: obs is {obs.dtype}, not {floats}"
    _check_leaves((state, obs), "reset")
    _same(obs, env.observe(state), "reset: obs is not what observe says")


def _check_step(env, state, result, params, num_steps):
    next_state, obs, reward, done = result
    floats = jnp.result_type(float)
    assert (obs.shape, obs.dtype) == (env.obs_shape, floats), f"step: obs of shape {obs.shape} and dtype {obs.dtype}"
    assert (reward.shape, reward.dtype) == ((), floats), f"step: reward of shape {reward.shape} and {reward.dtype}"
    assert (done.shape, done.dtype) == ((), jnp.bool_), f"step: done of shape {done.shape} and dtype {done.dtype}"
    assert jax.tree.structure(next_state) == jax.tree.structure(state), "step: another structure of the state"
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(next_state), strict=True):
        assert (old.shape, old.dtype) == (new.shape, new.dtype), f"step: a leaf {old.aval} became {new.aval}"
    _check_leaves(result, "step")
    _same(obs, env.observe(next_state), "step: obs is not what observe says (or step resets)")

    terminated = env.terminated(next_state)
    assert (terminated.shape, terminated.dtype) == ((), jnp.bool_), "terminated must be a bool of shape ()"
    limit = num_steps >= (env.most_steps(params) or np.inf)
    assert bool(done) == (bool(terminated) or limit), (
        f"after {num_steps} steps done is {done}, terminated {terminated}, time limit {limit}"
    )


def _check_leaves(tree, function):
    for leaf in jax.tree.leaves(tree):
        assert isinstance(leaf, jax.Array), f"{function}: a leaf is {type(leaf)}, not an array"
        assert not leaf.weak_type, f"{function}: a leaf of shape {leaf.shape} and dtype {leaf.dtype} has a weak type"
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            assert jnp.isfinite(leaf).all(), f"{function}: a leaf is not finite: {leaf}"


def check_own_buffers(tree, function):
    """Raises AssertionError where two leaves are one array: neither could be donated. Compiled functions see to it."""
    owners = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        data = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        other = owners.setdefault(data.unsafe_buffer_pointer(), path)
        assert other is path, (
            f"{function}: {jax.tree_util.keystr(other)} and {jax.tree_util.keystr(path)} are one array"
        )


def _check_parts(env, params, key_data, actions):
    """`step` is `transition` after `sample_noise`, `reset` is `initial_state` after `sample_start`."""

    @jax.jit
    def parts(start_key, key, action):
        state = env.initial_state(env.sample_start(start_key), params)
        noise = env.sample_noise(key)
        return state, env.transition(state, action, noise, params), env.transition_info(state, action, noise, params)

    start, transition, info = parts(*_keys(key_data), actions[0])
    start_key, key = _keys(key_data)
    state, obs = env.reset(start_key, params)
    check_own_buffers((state, obs), "reset")
    _same(state, start, "reset is not sample_start and initial_state")
    _same(env.step(state, actions[0], key, params), transition, "step is not sample_noise and transition")
    assert len(info) == 5, "transition_info must return state, obs, reward, done, info"
    _same(info[:4], transition, "transition_info differs from transition")


def _check_plain_calls(env, params, key_data, actions, jitted):
    start_key, key = _keys(key_data)
    state, _ = env.reset(start_key, params)
    _same(jitted, env.step(state, jnp.asarray(actions[0]), key, params), "jit differs from no jit")
    if params is env.default_params:
        start_key, key = _keys(key_data)
        _same(jitted, env.step(env.reset(start_key)[0], jnp.asarray(actions[0]), key), "params=None is no default")


def _keys(key_data):
    """The keys of a reset and of the first step."""
    return jax.random.wrap_key_data(key_data[0]), jax.random.wrap_key_data(key_data[1])


def _same(a, b, message, exact=False):
    """Equal, up to the last bits that separately compiled programs may round differently."""
    tolerance = 0.0 if exact else 1e-5 if jnp.result_type(float) == jnp.float32 else 1e-12
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        if np.issubdtype(x.dtype, np.floating):
            np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance, err_msg=message)
        else:
            np.testing.assert_array_equal(x, y, err_msg=message)
