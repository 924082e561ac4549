"""DQN once more, in NumPy and float64: an environment, its random numbers, a list for a memory, gradients by hand.

Nothing of agents is used here but a patient's features: no ring, no packed rows, no autodiff, no optax. Threefry, whose
own tests hold it against known answers, is written again in Python's integers. The random numbers are thrown as
those of `heartpole_jax.rollout`: index i at time t has the key (a + i, b + t), where (a, b) is the block
(2^31 + purpose, 0) of the run's key.
"""

import dataclasses
import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax import Environment, struct, threefry
from heartpole_jax.policies.transforms import TRANSFORMS

NOISE, POLICY, START, SAMPLE = range(16, 20)  # what random numbers are for


@struct.dataclass
class WalkParams:
    max_steps: typing.Any = 5
    expected_penalty: typing.Any = 0.0  # taken from every reward


class WalkState(typing.NamedTuple):
    position: typing.Any
    start: typing.Any
    num_steps: typing.Any


@functools.cache
def walk() -> Environment:
    """A random walk with three actions that ends truly beyond 0.9, and by the clock after five steps.

    The observation has the form of HeartPole's, so that its transforms apply, and has the start, so that episodes can
    be distinguished: (position, position^2, start / 10, steps, 8 steps, start).
    """

    def transition_info(state, action, noise, params):
        position = 0.7 * state.position + 0.6 * (action - 1.0) + noise - 0.5
        after = WalkState(position=position, start=state.start, num_steps=state.num_steps + 1)
        reward = position - 0.4 * action + state.start - params.expected_penalty
        return after, observe(after), reward, terminated(after) | (after.num_steps >= params.max_steps), ()

    def observe(state):
        steps = state.num_steps.astype(state.position.dtype)
        return jnp.stack([state.position, state.position**2, state.start / 10, steps, 8 * steps, state.start])

    def terminated(state):
        return state.position > 0.9

    def initial_state(start, params):
        return WalkState(position=start - 0.5, start=start, num_steps=jnp.zeros((), jnp.int32))

    return Environment(
        name="walk",
        num_actions=3,
        obs_shape=(6,),
        default_params=WalkParams(),
        sample_start=lambda key: threefry.uniforms(key, 1)[0],
        initial_state=initial_state,
        sample_noise=lambda key: threefry.uniforms(key, 1)[0],
        transition=lambda *args: transition_info(*args)[:4],
        transition_info=transition_info,
        observe=observe,
        terminated=terminated,
    )


class Row(typing.NamedTuple):
    """A step of one environment."""

    obs: np.ndarray
    action: int
    reward: float
    next_obs: np.ndarray
    done: bool  # or cut off
    terminated: bool


@dataclasses.dataclass
class Networks:
    """What learning changes."""

    online: np.ndarray
    target: np.ndarray
    average: np.ndarray
    mean: np.ndarray  # Adam's, of gradients
    square: np.ndarray  # Adam's, of their squares
    count: int


class Oracle:
    """A run of DQN in the walk, one iteration after the other; `numbers` is a dict of all hyperparameters."""

    def __init__(self, seed: int, config, numbers: dict):
        self.config, self.numbers, self.iteration = config, numbers, 0
        self.key = np.asarray(jax.random.key_data(jax.random.key(seed)))
        self.memory: list[list[Row]] = [[] for _ in range(config.num_envs)]  # of each environment, since the beginning
        self.starts = [self.uniform(START, index, 0) for index in range(config.num_envs)]
        self.positions = [start - 0.5 for start in self.starts]
        self.ages = [0] * config.num_envs
        self.returns = [0.0] * config.num_envs
        self.cut_off = [False] * config.num_envs  # the last step was followed by a reset

    def uniform(self, purpose: int, index: int, time: int) -> float:
        high, low = self.words(purpose, index, time)
        if jax.config.jax_enable_x64:
            return ((high >> 5) * 2**26 + (low >> 6)) * 2.0**-53
        return (high >> 8) * 2.0**-24

    def words(self, purpose: int, index: int, time: int) -> tuple[int, int]:
        first, second = threefry2x32(self.key, (2**31 + purpose, 0))
        return threefry2x32((first + index, second + time), (0, 0))

    def iterate(self, networks: Networks) -> tuple[Networks, dict]:
        """The networks after one more iteration that began with these, and the metrics."""
        envs, steps = self.config.num_envs, self.config.steps_per_iteration
        steps_before = self.iteration * envs * steps
        finished = []
        for i in range(steps):
            for index in range(envs):
                self.act(index, self.iteration * steps + i, networks.online, finished)
        self.iteration += 1
        steps_after = steps_before + envs * steps

        steps_taken = []
        if steps_after > self.numbers["learning_starts"] and self.iteration * steps >= self.config.n_step:
            for update in range(self.config.updates_per_iteration):
                batch = self.sample((self.iteration - 1) * self.config.updates_per_iteration + update)
                networks, one = gradient_step(
                    batch, networks, self.learning_rate(steps_before), self.numbers, self.config
                )
                steps_taken.append(one)
        mix = lambda old, new, share: (1 - share) * old + share * new
        period = self.numbers["target_period"]
        if steps_after // period > steps_before // period:
            target = mix(networks.target, networks.online, self.numbers["target_tau"])
            networks = dataclasses.replace(networks, target=target)
        average = mix(networks.average, networks.online, self.numbers["ema_rate"])
        mean = lambda values: np.mean(values) if len(values) else np.nan
        metrics = {
            "env_steps": steps_after,
            "num_updates": len(steps_taken),
            "loss": mean([one["loss"] for one in steps_taken]),
            "q_value": mean([one["q_value"] for one in steps_taken]),
            "grad_norm": mean([one["grad_norm"] for one in steps_taken]),
            "num_episodes": len(finished),
            "episode_return": mean(finished),
            "epsilon": self.epsilon(steps_after),
            "learning_rate": self.learning_rate(steps_after),
        }
        return dataclasses.replace(networks, average=average), metrics

    def act(self, index: int, time: int, online: np.ndarray, finished: list[float]) -> None:
        explore, chance = self.words(POLICY, index, time)
        obs = observation(self.positions[index], self.starts[index], self.ages[index])
        if (explore >> 8) * 2.0**-24 < self.epsilon(time * self.config.num_envs) or self.cut_off[index]:
            action = chance * 3 >> 32
        else:
            action = int(np.argmax(outputs(online, obs[None], self.config)[0]))
        position = 0.7 * self.positions[index] + 0.6 * (action - 1) + self.uniform(NOISE, index, time) - 0.5
        reward = position - 0.4 * action + self.starts[index] - self.numbers["expected_penalty"]
        age, terminated = self.ages[index] + 1, position > 0.9
        done = terminated or age == 5
        reset = ((explore & 0xFF) << 16 | chance & 0xFFFF) * 2.0**-24 < self.numbers["reset_rate"]
        next_obs = observation(position, self.starts[index], age)
        self.memory[index].append(Row(obs, action, reward, next_obs, done or reset, terminated))
        self.positions[index], self.ages[index] = position, age
        self.returns[index] += reward
        if done:
            finished.append(self.returns[index])
        self.cut_off[index] = reset
        if done or reset:
            self.returns[index], self.ages[index] = 0.0, 0
            self.starts[index] = self.uniform(START, index, time + 1)
            self.positions[index] = self.starts[index] - 0.5

    def sample(self, update: int) -> list[list[Row]]:
        """For each of the batch, the rows from its start to its n-th step or the episode's end."""
        config = self.config
        slots = config.buffer_size // config.num_envs
        kept = [index[-slots:] for index in self.memory]
        num_starts = (len(kept[0]) - config.n_step + 1) * config.num_envs
        key = threefry2x32(self.key, (2**31 + SAMPLE, 0))
        pairs = [threefry2x32(key, (update, pair)) for pair in range((config.batch_size + 1) // 2)]
        words = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
        batch = []
        for word in words[: config.batch_size]:
            age, index = divmod(word * num_starts >> 32, config.num_envs)
            rows = kept[index][age : age + config.n_step]
            last = next((i for i, row in enumerate(rows) if row.done), config.n_step - 1)
            batch.append(rows[: last + 1])
        return batch

    def epsilon(self, env_steps: int) -> float:
        numbers = self.numbers
        if env_steps < numbers["learning_starts"]:
            return 1.0
        progress = min(env_steps / numbers["epsilon_steps"], 1.0)
        return (1 - progress) * numbers["epsilon_start"] + progress * numbers["epsilon_end"]

    def learning_rate(self, env_steps: int) -> float:
        numbers = self.numbers
        progress = min(env_steps / numbers["learning_rate_steps"], 1.0)
        return numbers["learning_rate"] * ((1 - progress) + progress * numbers["final_learning_rate"])


def observation(position: float, start: float, num_steps: int) -> np.ndarray:
    return np.array([position, position**2, start / 10, num_steps, 8 * num_steps, start])


def gradient_step(batch: list[list[Row]], networks: Networks, learning_rate: float, numbers: dict, config):
    """(networks, metrics) after a step of clipped Adam on the mean Huber loss of `batch`."""
    obs = np.stack([rows[0].obs for rows in batch])
    output, activations = forward(networks.online, obs, config)
    cotangent, losses, chosen = np.zeros_like(output), [], []
    for i, rows in enumerate(batch):
        unit = 1.0 if config.scaled_errors else scale(rows[0].obs, config)
        td_error = unit * (output[i, rows[0].action] - target_of(rows, networks, numbers, config))
        width = numbers["huber_delta"]
        small = abs(td_error) <= width
        losses.append(0.5 * td_error**2 if small else width * (abs(td_error) - 0.5 * width))
        cotangent[i, rows[0].action] = unit * (td_error if small else width * np.sign(td_error)) / len(batch)
        chosen.append(output[i, rows[0].action])
    gradient = backward(networks.online, activations, cotangent, config)
    norm = np.sqrt(np.sum(gradient**2))
    clipped = gradient * min(1.0, numbers["max_grad_norm"] / norm)
    b1, b2, count = numbers["adam_b1"], numbers["adam_b2"], networks.count + 1
    mean = b1 * networks.mean + (1 - b1) * clipped
    square = b2 * networks.square + (1 - b2) * clipped**2
    step = (mean / (1 - b1**count)) / (np.sqrt(square / (1 - b2**count)) + numbers["adam_epsilon"])
    online = networks.online - learning_rate * step
    metrics = {"loss": np.mean(losses), "q_value": np.mean(chosen), "grad_norm": norm}
    return dataclasses.replace(networks, online=online, mean=mean, square=square, count=count), metrics


def target_of(rows: list[Row], networks: Networks, numbers: dict, config) -> float:
    """The target of the network's output for the first of some steps, none of which but the last ends an episode."""
    gamma, last = numbers["discount"], rows[-1]
    total = sum(
        gamma**i * numbers["reward_scale"] * (row.reward + numbers["reward_shift"]) for i, row in enumerate(rows)
    )
    if not (last.terminated or (config.time_limit_is_terminal and last.done)):
        values = outputs(networks.target, last.next_obs[None], config)[0]
        if config.double:
            best = values[np.argmax(outputs(networks.online, last.next_obs[None], config)[0])]
        else:
            best = max(values)
        total += gamma ** len(rows) * scale(last.next_obs, config) * best
    return total / scale(rows[0].obs, config)


def scale(obs: np.ndarray, config) -> float:
    return 48 / (48 + obs[4]) if config.transform == "heartpole-days" else 1.0


def features(obs: np.ndarray, config) -> np.ndarray:
    return TRANSFORMS[config.transform].features(obs, np)


def layers_of(weights: np.ndarray, config, num_inputs: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(bias, kernel) of each layer: so they lie in the flat vector, kernels (inputs, outputs) row by row."""
    layers, begin = [], 0
    for size in (*config.hidden_sizes, 3 + config.dueling):
        end = begin + size + num_inputs * size
        layers.append((weights[begin : begin + size], weights[begin + size : end].reshape(num_inputs, size)))
        begin, num_inputs = end, size
    assert begin == len(weights)
    return layers


def forward(weights: np.ndarray, obs: np.ndarray, config) -> tuple[np.ndarray, list[np.ndarray]]:
    """The network's output, and the input of each layer."""
    x = features(obs, config)
    layers, activations = layers_of(weights, config, x.shape[1]), []
    for i, (bias, kernel) in enumerate(layers):
        activations.append(x)
        x = x @ kernel + bias
        if i < len(layers) - 1:
            x = np.maximum(x, 0)
    if config.dueling:
        x = x[:, :1] + x[:, 1:] - x[:, 1:].mean(axis=1)[:, None]
    return x, activations


def outputs(weights: np.ndarray, obs: np.ndarray, config) -> np.ndarray:
    return forward(weights, obs, config)[0]


def backward(weights: np.ndarray, activations: list[np.ndarray], cotangent: np.ndarray, config) -> np.ndarray:
    """The gradient with respect to the flat weights, by the chain rule from the last layer to the first."""
    if config.dueling:
        total = cotangent.sum(axis=1)[:, None]
        cotangent = np.concatenate([total, cotangent - total / cotangent.shape[1]], axis=1)
    parts: list[np.ndarray] = []
    for x, (_, kernel) in reversed(
        list(zip(activations, layers_of(weights, config, activations[0].shape[1]), strict=True))
    ):
        parts = [cotangent.sum(axis=0), (x.T @ cotangent).ravel(), *parts]
        cotangent = (cotangent @ kernel.T) * (x > 0)  # of no use below the first layer
    return np.concatenate(parts)


def threefry2x32(key, counter) -> tuple[int, int]:
    """Threefry-2x32 with 13 rounds, in Python integers."""
    mask = 2**32 - 1
    k0, k1 = (int(word) & mask for word in key)
    schedule = (k0, k1, k0 ^ k1 ^ 0x1BD11BDA)
    x, y = (counter[0] + k0) & mask, (counter[1] + k1) & mask
    for i in range(13):
        rotation = (13, 15, 26, 6, 17, 29, 16, 24)[i % 8]
        x = (x + y) & mask
        y = ((y << rotation | y >> (32 - rotation)) & mask) ^ x
        if i % 4 == 3:
            k = i // 4 + 1
            x, y = (x + schedule[k % 3]) & mask, (y + schedule[(k + 1) % 3] + k) & mask
    return x, y
