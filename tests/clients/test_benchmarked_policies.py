"""benchmarks/algorithms_*.py: the policies of other libraries, rewritten for JAX, act as the libraries' own."""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stable_baselines3
import torch

import heartpole_jax as hp
from heartpole_jax.interop.stable_baselines3 import HeartPoleVecEnv

BENCHMARKS = pathlib.Path(__file__).parent.parent.parent / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def on_the_path():
    """The benchmarks are no package."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("name", ["DQN", "PPO", "A2C"])
def test_stable_baselines3_s_policies_act_as_their_predict(name):
    import algorithms_stable_baselines3 as peer

    model = getattr(stable_baselines3, name)("MlpPolicy", HeartPoleVecEnv(1), seed=0, device="cpu")
    with torch.no_grad():  # a fresh actor's last layer is nearly 0
        for weights in model.policy.parameters():
            weights.copy_(torch.randn(weights.shape, generator=torch.Generator().manual_seed(weights.numel())))
    policy = peer.policy_of(model)
    peer.check_agrees(model, policy)
    kernel, bias = policy.params[-1]
    other = hp.Policy(act=policy.act, params=[*policy.params[:-1], (-kernel, bias)])
    with pytest.raises(RuntimeError, match="differs from the library's own"):
        peer.check_agrees(model, other)


@pytest.mark.parametrize("name", ["dqn", "pqn", "iqn", "ppo"])
def test_rejax_s_greedy_policy_takes_the_action_that_its_own_functions_find_best(name):
    pytest.importorskip("rejax")
    import algorithms_rejax as peer

    _, policy_of, decisions = peer.build(name, 1.0, 1000)
    assert decisions == (4096 if name in ("ppo", "pqn") else 1000)  # iterations of 64 decisions of 64 environments
    obs = jax.random.normal(jax.random.key(0), (256, 6))
    network, key = policy_of(None).act.network, jax.random.key(0)
    weights = network.init(key, obs, key) if name in ("ppo", "iqn") else network.init(key, obs)
    policy = policy_of(weights)
    ours = jax.vmap(lambda row: policy.act(weights, (), row, ())[0])(obs)
    if name == "ppo":
        log_probs = lambda action: network.apply(weights, obs, jnp.full(256, action), method="log_prob_entropy")[0]
        theirs = jnp.argmax(jnp.stack([log_probs(action) for action in range(4)]), axis=0)
    elif name == "iqn":
        theirs = jax.vmap(lambda row: network.apply(weights, row[None], key, method="best_action")[0])(obs)
    else:
        theirs = network.apply(weights, obs, key, epsilon=0.0, method="act")
    np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(ours)) > 1
