"""The replay buffer: what is put in comes out, every start equally often, and nothing that is stale, torn or empty."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from agents.dqn import replay

NUM_ACTIONS = 4
# Eight slots of three envs, and the steps written: none to spare, part-filled, all but one, exactly full, gone round.
FILLINGS = [3, 5, 7, 8, 9, 13, 31]
write = jax.jit(replay.write)


@functools.partial(jax.jit, static_argnames="num_steps")
def sample(buffer, words, num_written, num_steps):
    """The transitions that the words choose of a buffer into which so many steps were written."""
    where = replay.choose(words, num_written, num_steps, *buffer.shape[:2])
    return replay.read(buffer, where, num_steps, NUM_ACTIONS)


def test_a_row_of_heartpole_takes_56_bytes():
    assert replay.row_bytes(6) == 56
    assert replay.row_bytes(6, itemsize=8) == 112
    buffer = replay.empty(10, 3, 6, jnp.float32)
    assert buffer.nbytes == 30 * 56
    assert not buffer.any()


@pytest.mark.parametrize("num_actions", [1, 2, 3, 4, 18, 2**16])
def test_what_is_packed_is_unpacked(num_actions):
    actions = sorted({0, 1, num_actions // 2, num_actions - 1} & set(range(num_actions)))
    for action in actions:
        for done, terminated in ((False, False), (True, False), (True, True)):
            row = replay.pack(
                jnp.array([[1.5, -2.5]]), jnp.int32(action), jnp.float32(0.1), jnp.array([[3.5, 4.5]]),
                jnp.array(done), jnp.array(terminated), num_actions,
            )  # fmt: skip
            assert row.shape == (6,)
            assert row[:-1].tolist() == [1.5, -2.5, 3.5, 4.5, np.float32(0.1)]
            assert tuple(map(int, replay.unpack_code(row[-1], num_actions))) == (action, done, terminated)


WORDS = [0, 1, 2**16 - 1, 2**16, 2**16 + 1, 2**31 - 1, 2**31, 2**32 - 2**16, 2**32 - 1]
NUMS = [1, 2, 3, 2**16 - 1, 2**16, 2**16 + 1, 2**24 - 1, 2**30, 2**31 - 2, 2**31 - 1]


def test_random_below_is_the_high_half_of_the_product_exactly():
    generator = np.random.default_rng(0)
    words = np.array(WORDS + generator.integers(0, 2**32, 300).tolist(), np.uint32)
    nums = NUMS + generator.integers(1, 2**31, 100).tolist() + [int(2**x) for x in generator.uniform(0, 31, 100)]
    result = jax.jit(jax.vmap(replay.random_below, in_axes=(None, 0)))(words, np.array(nums, np.int32))
    assert result.dtype == jnp.int32
    expected = [[int(word) * num >> 32 for word in words] for num in nums]  # integers of Python, of any length
    np.testing.assert_array_equal(result, expected)
    assert replay.random_below(jnp.array([2**32 - 1], jnp.uint32), 2**31 - 1).tolist() == [2**31 - 2]


class Memory:
    """A buffer, written step by step, and beside it a list of everything that was ever written."""

    def __init__(self, num_written, steps_a_write=1, num_slots=8, num_envs=3):
        generator = np.random.default_rng(0)
        shape = (num_written, num_envs)
        self.action = generator.integers(0, NUM_ACTIONS, shape)
        self.ending = generator.choice([0, 0, 0, 0, 0, 0, 1, 2], shape)  # goes on, the clock, a true end
        # Every number names the time and the environment that it is of.
        self.obs = 1.0 + 10 * np.arange(num_written)[:, None] + np.arange(num_envs)
        self.next_obs, self.reward = self.obs + 4, self.obs + 0.25
        columns = (self.obs, -self.obs, self.next_obs, -self.next_obs, self.reward)
        rows = jnp.asarray(np.stack([*columns, self.action + NUM_ACTIONS * self.ending], axis=-1), jnp.float32)
        # What was never written is not a number.
        self.buffer = jnp.full((num_slots, num_envs, 6), jnp.nan)
        for time in range(0, num_written, steps_a_write):
            self.buffer = write(self.buffer, rows[time : time + steps_a_write], jnp.int32(time % num_slots))
        self.num_written, self.first = num_written, max(0, num_written - num_slots)

    def starts(self, num_steps):
        """(time, index) of all whole transitions of `num_steps` steps, the oldest first."""
        times = range(self.first, self.num_written - num_steps + 1)
        return [(time, index) for time in times for index in range(self.obs.shape[1])]

    def sample(self, words, num_steps):
        words = jnp.asarray(words, jnp.uint32)
        return jax.device_get(sample(self.buffer, words, jnp.int32(self.num_written), num_steps))

    def places(self, batch, num_steps):
        """Where in `starts` each of a batch begins: an error where one is nowhere there."""
        where = {float(self.obs[start]): place for place, start in enumerate(self.starts(num_steps))}
        return np.array([where[x] for x in batch.obs[:, 0].tolist()])


def evenly_spaced(num):
    """`num` words, each in the middle of its share of the 2^32."""
    return (np.arange(num) * 2**32 + 2**31) // num


@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("num_written", FILLINGS)
def test_every_whole_transition_is_drawn_equally_often_and_no_other(num_written, num_steps):
    """By 5040 words, a multiple of all numbers of starts here, evenly spaced; then by random ones.

    Chi-square: of right buffers one in 10,000 would fail by chance, and the seed is fixed.
    """
    memory = Memory(num_written)
    num_starts = len(memory.starts(num_steps))
    counts = lambda words: np.bincount(memory.places(memory.sample(words, num_steps), num_steps), minlength=num_starts)
    np.testing.assert_array_equal(counts(evenly_spaced(5040)), 5040 / num_starts)
    random = counts(np.random.default_rng(1).integers(0, 2**32, 5040))
    assert scipy.stats.chisquare(random).pvalue > 1e-4


@pytest.mark.parametrize("num_steps", [1, 2, 3, 5])
@pytest.mark.parametrize("num_written", [6, 8, 21])
def test_a_transition_of_n_steps_is_what_happened_in_them(num_written, num_steps):
    """All starts, against the list: in one environment, up to the episode's end and no further, across the seam."""
    memory = Memory(num_written)
    starts = memory.starts(num_steps)
    words = np.resize(evenly_spaced(len(starts)), 24)
    batch = memory.sample(words, num_steps)
    seen = set()
    for i, (time, index) in enumerate(starts):
        ending = memory.ending[time : time + num_steps, index]
        taken = int(np.argmax(ending > 0)) + 1 if ending.any() else num_steps
        last = time + taken - 1, index
        rewards = np.where(np.arange(num_steps) < taken, memory.reward[time : time + num_steps, index], 0.0)
        assert batch.num_steps[i] == taken
        assert batch.action[i] == memory.action[time, index]
        assert (batch.done[i], batch.terminated[i]) == (memory.ending[last] >= 1, memory.ending[last] == 2)
        assert batch.reward[i].tolist() == rewards.tolist()
        assert batch.obs[i].tolist() == [memory.obs[time, index], -memory.obs[time, index]]
        assert batch.next_obs[i].tolist() == [memory.next_obs[last], -memory.next_obs[last]]
        seen.add((int(taken), bool(batch.done[i])))
    assert (num_steps, False) in seen, "an easy test: every transition ends an episode"
    assert (1, True) in seen, "an easy test: no episode ends at once"
    dtypes = {name: x.dtype for name, x in vars(batch).items()}
    assert dtypes == {
        "obs": np.float32, "action": np.int32, "reward": np.float32, "next_obs": np.float32, "num_steps": np.int32,
        "done": np.bool_, "terminated": np.bool_,
    }  # fmt: skip


def test_the_first_and_the_last_word_draw_the_oldest_and_the_newest():
    for num_written in FILLINGS:
        memory = Memory(num_written)
        batch = memory.sample(np.resize([0, 2**32 - 1], 24), 1)
        assert batch.obs[:2, 0].tolist() == [memory.obs[memory.first, 0], memory.obs[-1, -1]]


@pytest.mark.parametrize("steps_a_write", [1, 2, 4])
def test_writing_some_steps_at_a_time_is_writing_one_after_the_other(steps_a_write):
    """Three times round, and the oldest go first."""
    one, several = Memory(20), Memory(20, steps_a_write)
    np.testing.assert_array_equal(one.buffer, several.buffer)
    slots = np.asarray(several.buffer)[:, :, 0]
    np.testing.assert_array_equal(slots, several.obs[[16, 17, 18, 19, 12, 13, 14, 15]])
