"""Imitates the best known policy of HeartPole-v1 by a network that is small enough for the playground.

    python benchmarks/distil.py --out heartpole_jax/playground/trained/heartpole_v1_best

The policy's tables take 174 MB. The network learns its actions by cross-entropy, in the states that the two of them get
into: from the second round on the network itself chooses most of the actions, and some are random (DAgger: Ross,
Gordon, Bagnell, "A reduction of imitation learning and structured prediction to no-regret online learning", AISTATS
2011).
"""

import argparse
import dataclasses
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import heartpole_jax as hp
from heartpole_jax import command_line, policies, threefry, validation
from heartpole_jax.policies import policy_files, q_network
from heartpole_jax.policies.transforms import TRANSFORMS
from heartpole_jax.policy import Policy
from heartpole_jax.rollout import rollout

TRANSFORM, HIDDEN, SEED = "heartpole-v1", (128, 64), 0
ROUNDS, ENVS, STEPS = 4, 256, 700  # of collecting; patients and decisions of each
SHARE, EPSILON = 0.7, 0.02  # of actions that are the network's, and random
UPDATES = (8_000, 8_000, 8_000, 60_000)
BATCH, LEARNING_RATE = 1024, 2e-3
ENV = hp.make("HeartPole-v1")
PARAMS = dataclasses.replace(ENV.default_params, expected_penalty=1.0)


def initial(key):
    """Weights by their names, He's initialisation."""
    shapes = q_network.shapes(ENV.obs_shape, ENV.num_actions, HIDDEN, TRANSFORM, False, False)
    keys = dict(zip(shapes, jax.random.split(key, len(shapes)), strict=True))
    draw = lambda name, shape: jax.random.normal(keys[name], shape) * np.sqrt(2 / shape[0])
    return {name: draw(name, shape) if len(shape) == 2 else jnp.zeros(shape) for name, shape in shapes.items()}


def logits(weights, obs):
    """The network's output, observations (batch, 8) to (batch, 8 actions)."""
    features = TRANSFORMS[TRANSFORM].features(obs, jnp)
    return q_network.output(weights, features, len(HIDDEN), False, False, jnp, jnp.matmul)


def chosen(weights, obs):
    return jnp.argmax(logits(weights, obs[None])[0]).astype(jnp.int32)


def imitator(weights):
    return Policy(act=lambda own, carry, obs, draw: (chosen(own, obs), carry), params=weights)


def collect(best, weights, key, share):
    """Observations (n, 8) of a mixture of both, and the best policy's actions in them (n,)."""

    def act(params, carry, obs, draw):
        tables, own = params
        action, carry = best.act(tables, carry, obs, None)
        action = jnp.where(draw[0] < share, chosen(own, obs), action)
        return jnp.where(draw[1] < EPSILON, (draw[2] * ENV.num_actions).astype(jnp.int32), action), carry

    mixture = Policy(
        act=act, params=(best.params, weights), carry=best.carry, sample=lambda key: threefry.uniforms(key, 3)
    )
    obs = rollout(
        mixture, key, PARAMS, env=ENV, num_envs=ENVS, num_steps=STEPS, total=None, record=lambda step: step.obs
    ).records
    obs = np.asarray(obs).reshape(-1, *ENV.obs_shape)
    obs = obs[obs[:, 4] < PARAMS.max_half_hours]
    label = jax.jit(jax.vmap(lambda row: best.act(best.params, best.carry, row, None)[0]))
    return obs, np.concatenate([np.asarray(label(part)) for part in np.array_split(obs, 8)])


def train(weights, obs, actions, num_updates, key):
    """The weights after so many updates, with a learning rate that falls to 0."""
    optimiser = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, num_updates))
    obs, actions = jnp.asarray(obs), jnp.asarray(actions)

    def update(carry, key):
        weights, state = carry
        batch = jax.random.randint(key, (BATCH,), 0, len(obs))
        loss = lambda w: optax.softmax_cross_entropy_with_integer_labels(logits(w, obs[batch]), actions[batch]).mean()
        value, gradient = jax.value_and_grad(loss)(weights)
        changes, state = optimiser.update(gradient, state)
        return (optax.apply_updates(weights, changes), state), value

    run = jax.jit(lambda carry, keys: jax.lax.scan(update, carry, keys))
    (weights, _), losses = run((weights, optimiser.init(weights)), jax.random.split(key, num_updates))
    return weights, float(losses[-100:].mean())


def evaluate(policy, num_envs):
    """Mean return and its standard error, on a seed that nothing was trained on."""
    totals = rollout(policy, jax.random.key(10**6), PARAMS, env=ENV, num_envs=num_envs).totals
    return float(np.mean(totals)), float(np.std(totals) / np.sqrt(num_envs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write the policy to")
    parser.add_argument("--episodes", type=command_line.count, default=16_384, help="of the evaluation")
    options = parser.parse_args()
    try:
        validation.check_folder(options.out)
    except ValueError as error:
        parser.error(str(error))
    start, keys = time.time(), iter(jax.random.split(jax.random.key(SEED), 1 + 2 * ROUNDS))
    best, weights = policies.make("optimal", env=ENV), initial(next(keys))
    data = []
    for number, num_updates in enumerate(UPDATES):
        data.append(collect(best, weights, next(keys), SHARE if number else 0.0))
        obs, actions = (np.concatenate(parts) for parts in zip(*data, strict=True))
        weights, loss = train(weights, obs, actions, num_updates, next(keys))
        mean, error = evaluate(imitator(weights), 2_048)
        print(f"round {number}: {len(obs):,} states, loss {loss:.4f}, return {mean:.1f} ± {error:.1f}", flush=True)
    own, teacher = evaluate(imitator(weights), options.episodes), evaluate(best, options.episodes)
    print(f"network {own[0]:.2f} ± {own[1]:.2f}, its teacher {teacher[0]:.2f} ± {teacher[1]:.2f}")
    print(f"{time.time() - start:.0f} s")
    description = {
        "env": ENV.name, "obs_shape": list(ENV.obs_shape), "num_actions": ENV.num_actions,
        "hidden_sizes": list(HIDDEN), "transform": TRANSFORM, "dueling": False,
        "provenance": {"algorithm": "imitation", "seed": SEED, "num_steps": len(obs), "params": {},
                       "expected_return": own, "teacher_return": teacher},
    }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    policy_files.write(options.out, {name: np.asarray(array) for name, array in weights.items()}, description)


if __name__ == "__main__":
    main()
