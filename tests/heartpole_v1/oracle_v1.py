"""HeartPole-v1 once more, in plain NumPy and one half-hour at a time: what the environment is held to.

Written from the model's description alone. It reads no menu file and imports nothing of the package: the table below
is typed in by hand. `python tests/heartpole_v1/oracle_v1.py` writes tests/data/heartpole_v1_traces.npz.
"""

import pathlib

import numpy as np

TRACES = pathlib.Path(__file__).parent.parent / "data" / "heartpole_v1_traces.npz"
NAMES = ("alertness", "hypertension", "intoxication", "time_since_slept", "time_elapsed", "work_done", "stimulation",
         "impairment")  # fmt: skip
# name: half_hours, alertness, hypertension, intoxication, stimulation, impairment, hazard, wakes_up
MENU = {
    "nothing": (0, (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), 1, False),
    "coffee": (0, (0, 0), (0, 0.3), (0, 0), (0, 1), (0, 0), 1, False),
    "beer": (0, (-0.5, 0), (0, 0.3), (0.01, 0.03), (0, 0), (0, 0), 1, False),
    "sleep": (16, (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), 1, True),
    "nap": (1, (0, 0.3), (0, 0), (0, 0), (0, 0), (0, 0), 1, False),
    "exercise": (1, (0, 0), (-0.33, -0.06), (0, 0), (0, 0.4), (0, 0), 1, False),
    "energy_drink": (0, (0, 0), (0.17, 0.31), (0, 0), (0.3, 1.2), (0, 0), 1, False),
    "cannabis": (1, (0, 0), (0, 0.15), (0, 0), (0, 0), (0, 0.5), 4.8, False),
}


def sigma(z):
    # The form that does not overflow, whichever the sign.
    return 1 / (1 + np.exp(-z)) if z >= 0 else np.exp(z) / (1 + np.exp(z))


def wake_up(u):
    """The numbers (8,) of a patient who has just woken up."""
    return np.array([0.7 + 0.6 * u, 0, 0, 0, 0, 0, 0, 0], float)


def step(state, row, noise):
    """One decision: (state (8,), reward, risk, heart attack) after a row of MENU, noise (4,) as hp.Noise has it."""
    a, h, x, s, t, work, stimulation, impairment = (float(value) for value in state)
    u_alertness, u_hypertension, u_intoxication, u_attack = (float(u) for u in noise)
    half_hours, alert, tense, drunk, stimulated, impaired, hazard, wakes_up = row

    def drawn(dose, u):
        return dose[0] + (dose[1] - dose[0]) * u

    h = max(h + drawn(tense, u_hypertension), 0.0)
    x += drawn(drunk, u_intoxication)
    stimulation += drawn(stimulated, u_alertness)
    impairment += drawn(impaired, u_alertness)
    bedtime_stimulation = stimulation
    survival = 1.0
    for passing in range(half_hours + 1):
        at_work = passing == half_hours
        if at_work:
            if wakes_up:
                a, s = 0.7 + 0.6 * u_alertness - 0.3 * bedtime_stimulation, 0.0
            else:
                a += drawn(alert, u_alertness)
            effective = max(a + stimulation - impairment, 0.0)
            ballmer = sigma(50 * (0.05 - x)) + 2 * np.exp(-((x - 0.135) ** 2) / (2 * 0.005**2))
            productivity = effective * (1 - sigma(effective - 3)) * ballmer
        a -= sigma((s - 40) / 10)
        h *= 0.97
        x = max(x - 0.0075, 0.0)
        stimulation *= 0.933
        impairment *= 0.841
        s, t = s + 1, t + 1
        survival *= 1 - min(hazard * 0.5 * sigma(h - 6), 1.0)
    risk = 1 - survival
    attack = u_attack < risk
    reward = productivity - 100 * attack
    if attack:
        h = 0.0
    return np.array([a, h, x, s, t, work + productivity, stimulation, impairment]), reward, risk, attack


def simulate(u, actions, noise):
    """An episode from waking up with `u`: states (T + 1, 8), rewards, risks and heart attacks (T,)."""
    rows, states, steps = list(MENU.values()), [wake_up(u)], []
    for action, sampled in zip(actions, noise, strict=True):
        state, *rest = step(states[-1], rows[action], sampled)
        states.append(state)
        steps.append(rest)
    return np.array(states), *(np.array(column) for column in zip(*steps, strict=True))


def write_traces(num_steps=200):
    """16 episodes: 6 of random actions, 2 that lean towards stimulants, the 8 actions forever."""
    generator = np.random.default_rng(20)
    num_actions = len(MENU)
    leaning = np.array([1, 5, 0, 1, 1, 1, 5, 3]) / 17
    actions = [generator.integers(num_actions, size=num_steps) for _ in range(6)]
    actions += [generator.choice(num_actions, num_steps, p=leaning) for _ in range(2)]
    actions += [np.full(num_steps, action) for action in range(num_actions)]
    actions = np.array(actions, np.int32)
    # Exact in float32, so that both precisions have the same noise.
    noise = generator.integers(2**24, size=(*actions.shape, 4)) * 2.0**-24
    starts = generator.integers(2**24, size=len(actions)) * 2.0**-24
    episodes = [simulate(*inputs) for inputs in zip(starts, actions, noise, strict=True)]
    states, rewards, risks, attacks = (np.array(column) for column in zip(*episodes, strict=True))
    # A uniform closer to the risk than float32 can distinguish would make two different episodes.
    assert (np.abs(noise[..., 3] - risks) > 1e-6).all()
    np.savez_compressed(
        TRACES, actions=actions, noise=noise.astype(np.float32), wake_up=starts.astype(np.float32), states=states,
        rewards=rewards, risks=risks, heart_attacks=attacks, observation_names=np.array(NAMES),
    )  # fmt: skip
    print(f"{TRACES}: {attacks.sum()} heart attacks in {actions.size} decisions")


if __name__ == "__main__":
    write_traces()
