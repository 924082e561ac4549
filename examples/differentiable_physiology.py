# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Differentiable physiology
#
# A developer drinks coffee, and may have a heart attack. How do heart attacks depend on the body? What would one
# coffee fewer have changed? How much coffee is right? The answers are derivatives, and simulations on the same noise,
# of a body in which something jumps.
#
# ```
# pip install '.[plot]'
# python examples/differentiable_physiology.py
# ```
#
# prints the numbers and draws the figures into `out/differentiable_physiology`. The cells `# %%` are those of
# Jupytext: editors run them one by one, and `jupytext --to notebook` makes a notebook of them. HeartPole is a toy:
# nothing here is medical advice.

# %%
import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import heartpole_jax as hp
from heartpole_jax import gradients, identification
from heartpole_jax.drawing.charts import style
from heartpole_jax.drawing.charts.strip_chart import draw_episode
from heartpole_jax.envs import physiology

jax.config.update("jax_enable_x64", True)  # finite differences need the digits
NOTHING, COFFEE = int(hp.Action.NOTHING), int(hp.Action.COFFEE)
BODY = hp.EnvParams()
SEED = jax.random.key(0)


def show(what, *numbers):
    print(f"{what}:", *(f"{float(number):.6g}" for number in numbers))


def save(figure, name):
    """Saves the figure where this runs as a script; a notebook shows it anyway."""
    if "__file__" in globals():
        folder = Path("out/differentiable_physiology")
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{name}.png")


# %% [markdown]
# ## 1. The body, and one step
#
# A developer is a handful of numbers. `transition` is half an hour of their day, the noise given: the same state,
# action and noise always lead to the same next state, and every equation on the way is smooth. So it has derivatives.
# A coffee adds 0.3 u to hypertension, u uniform in [0, 1), and half an hour leaves the share γ = 0.97 of it:
# h' = γ (h + 0.3 u). From h = 0 with u = 1/2 that is 0.1455, with the derivatives 0.15 by γ and
# 0.291 by u.


# %%
def after_coffee(decay, u):
    noise = hp.Noise(alertness=u, hypertension=u, intoxication=u, heart_attack=1.0)
    state, *_ = hp.transition(hp.initial_state(0.5), COFFEE, noise, hp.EnvParams(hypertension_decay=decay))
    return state.hypertension


value, slopes = jax.jit(jax.value_and_grad(after_coffee, argnums=(0, 1)))(0.97, 0.5)
show("hypertension after a coffee, its derivatives", value, *slopes)

# %% [markdown]
# ## 2. How a heart attack breaks `jax.grad`
#
# A heart attack happens where another uniform is below the risk ρ(h) = 0.5 σ(h − 6). It costs 100, and
# hypertension starts at 0 again. A comparison has the derivative 0: `jax.grad` does not see it at all. Take a tense
# developer, h = 6, who does nothing for half an hour. The expected penalty is −100 ρ(6γ), so its
# derivative is −600 ρ'(6γ), which is -74.4.

# %%
TENSE = dataclasses.replace(hp.initial_state(0.5), hypertension=jnp.array(6.0))


def risk(hypertension):
    return physiology.heart_attack_risk(hypertension)


def penalties(decay, uniforms, expected_penalty):
    """-100 for each heart attack in as many half-hours as there are noise, the risk's share of it where asked for."""
    params = hp.EnvParams(hypertension_decay=decay, expected_penalty=expected_penalty)
    state, total = TENSE, 0.0
    for uniform in uniforms:
        noise = hp.Noise(alertness=0.5, hypertension=0.5, intoxication=0.5, heart_attack=uniform)
        state, _, _, _, info = hp.transition_info(state, NOTHING, noise, params)
        share = expected_penalty * info.heart_attack_risk + (1.0 - expected_penalty) * info.heart_attack
        total -= params.heart_attack_penalty * share
    return total


slope = jax.jit(jax.grad(penalties))
show("one step, derivative of the observed penalty", slope(0.97, jnp.array([0.9]), 0.0))
show("one step, derivative of the expected penalty", slope(0.97, jnp.array([0.9]), 1.0))
show("one step, by hand", -100 * 6 * jax.grad(risk)(0.97 * 6.0))

# %% [markdown]
# To take the risk in the place of the attack repairs one step. It does not repair two: whether the first half-hour
# ends in an attack decides how tense the second one is, and *how likely* that is depends on γ as well. Written
# out, the expected number of attacks is
#
# ρ₁ + (1 − ρ₁) ρ(6γ²) + ρ₁ ρ(0), with ρ₁ = ρ(6γ).
#
# `jax.grad` with the random numbers held fixed, averaged over all of them, differentiates each risk but not the weights
# 1 − ρ₁ and ρ₁ in front: that is the *pathwise* derivative. It misses that what makes an attack likelier
# makes the calm after it likelier too: -183 for -168.


# %%
def expected_penalty_of_two(decay):
    first = risk(6.0 * decay)
    return -100.0 * (first + (1.0 - first) * risk(6.0 * decay**2) + first * risk(0.0))


uniforms = (
    jnp.arange(10_000) + 0.5
) / 10_000  # every chance of the first step; that of the second changes nothing any more
pathwise = jnp.mean(jax.vmap(lambda u: slope(0.97, jnp.stack([u, jnp.ones(())]), 1.0))(uniforms))
show("two steps, jax.grad over all random numbers", pathwise)
show("two steps, by hand", jax.jit(jax.grad(expected_penalty_of_two))(0.97))

# %% [markdown]
# ## 3. Heart attacks and the decay of hypertension
#
# Now a developer who drinks 40 coffees in 20 hours. There are 2^40 ways in which heart attacks can fall. The
# *marginal* estimator sums over all of them, exactly: a heart attack resets hypertension, so all that matters of the
# past is when the last one was. What is left is the chance of the doses, over which it averages. It comes with its
# standard error, and with what it promises.

# %%
coffees = hp.policies.schedule([COFFEE] * 40)


def sensitivity(estimator, decay=BODY.hypertension_decay):
    return gradients.estimate(
        "penalty", SEED, dataclasses.replace(BODY, hypertension_decay=decay), policy=coffees,
        wrt="hypertension_decay", estimator=estimator, num_episodes=2048, num_steps=40,
    )  # fmt: skip


found = {name: sensitivity(name) for name in ("marginal", "hybrid", "pathwise")}
for name, estimate in found.items():
    mean, error = estimate.gradient.mean, estimate.gradient.standard_error
    show(f"{name}, error", mean["hypertension_decay"], error["hypertension_decay"])
    print(f"  {estimate.promise}")

# %% [markdown]
# The marginal expectation is smooth in the decay, so that a finite difference of it on the same noise must agree to
# many digits; and it does (-1270.23 both). The pathwise derivative, -1554 with an error of 20, is 14 errors off. More
# episodes would make its error smaller, and not the bias.

# %%
higher, lower = (sensitivity("marginal", BODY.hypertension_decay + change).value.mean for change in (1e-4, -1e-4))
show("finite difference of the marginal", (higher - lower) / 2e-4)

decays = np.linspace(0.964, 0.976, 7)
curve = [float(sensitivity("marginal", decay).value.mean) for decay in decays]
figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
axes.plot(decays, curve, color=style.INK, label="expected penalty")
for name, colour in (("marginal", style.BLUE), ("pathwise", style.VERMILLION)):
    estimate = found[name]
    tangent = estimate.gradient.mean["hypertension_decay"] * (decays - 0.97) + found["marginal"].value.mean
    axes.plot(decays, tangent, "--", color=colour, label=f"slope: {name}")
axes.set_xlabel("decay of hypertension, share left after half an hour")
axes.set_ylabel("heart attack penalties, 40 coffees")
axes.legend(frameon=False)
style.clean(axes)
save(figure, "sensitivity")

# %% [markdown]
# ## 4. One coffee fewer
#
# Patient i's noise at decision t depends on the key, i and t alone. The same key is the same noise, and two schedules
# are compared on it: 4,096 developers drink 30 coffees and then nothing for five hours, and are simulated once more
# without the last coffee. The marginal estimator's value counts the same without letting any attack happen: the two
# must agree.

# %%
LAST = 29  # the decision of the last coffee
drunk = [COFFEE] * 30 + [NOTHING] * 10
spared = drunk[:LAST] + [NOTHING] + drunk[LAST + 1 :]


def attacks(transition):
    return transition.info.heart_attack


def simulate(actions):
    schedule = hp.policies.schedule(actions)
    return hp.rollout(schedule, SEED, num_envs=4096, num_steps=40, total=attacks, record=hp.everything)


def count(actions):
    return gradients.estimate(
        "heart_attacks", SEED, policy=hp.policies.schedule(actions), wrt="hypertension_decay", estimator="marginal",
        num_episodes=2048, num_steps=40,
    ).value.mean  # fmt: skip


simulated = simulate(drunk), simulate(spared)
change = np.asarray(simulated[1].totals - simulated[0].totals)
show("heart attacks with 30 coffees, with 29", *(one.totals.mean() for one in simulated))
show("change, error", change.mean(), change.std(ddof=1) / np.sqrt(change.size))
show("change, marginal", count(spared) - count(drunk))

# %% [markdown]
# And one developer, who had a heart attack? Let us ask it of somebody whose first one came with the very last
# decision, ten half-hours after a strong last coffee. Now the random numbers are not known, only what happened is.
# `counterfactual` infers them as far as that determines them: the coffee's dose follows from hypertension before and
# after it, and of the attack's uniform we know that it was below the risk. Without the coffee the risk would have been
# lower. So the attack would have happened all the same with a probability that is the ratio of the two risks.

# %%
records = simulated[0].records  # leaves (40, 4096)
happened = np.asarray(records.info.heart_attack)
strengths = np.asarray(
    records.next_state.hypertension[LAST] / BODY.hypertension_decay - records.state.hypertension[LAST]
)
ends_badly = happened[-1] & (happened.sum(axis=0) == 1)
patient = int(np.argmax(np.where(ends_badly, strengths, -1.0)))

trace = identification.trace_of_rollout(records, patient)
what_if = identification.counterfactual(trace, spared, BODY, key=jax.random.key(1), num_samples=4096)
all_the_same = np.asarray(what_if.other.heart_attacks.sum(axis=1))
final = np.asarray(what_if.other.states.hypertension[:, -1])

level = BODY.hypertension_decay * float(records.state.hypertension[-1, patient])  # at the draw
less = BODY.hypertension_decay ** (40 - LAST) * strengths[patient]  # what was left of the last coffee then
show("hypertension at the draw, of it the last coffee's", level, less)
show("the attack happens all the same", all_the_same.mean())
show("ratio of the risks", risk(level - less) / risk(level))
show("hypertension of those who are spared", final[all_the_same == 0].mean())

figure = draw_episode(
    jax.tree.map(lambda x: x[:, patient : patient + 1], records), title="30 coffees, and a heart attack in the end"
)
save(figure, "heart_attack")

# %% [markdown]
# Who is spared goes on with that hypertension, and not with 0: it is this that the pathwise derivative leaves out.
#
# ## 5. How much coffee?
#
# Actions jump, but a dose does not: `gradients.Doses` is a schedule of fractions, and 0.3 of a coffee is three tenths
# of its effects. Every row is a point of the simplex (nothing, coffee, beer, sleep). The return is the mean
# productivity less 100 for each heart attack. Half a coffee every half-hour, for eight hours:

# %%
half = gradients.Doses(jnp.tile(jnp.array([0.5, 0.5, 0.0, 0.0]), (16, 1)))


def estimate_return(doses, key):
    return gradients.estimate("return", key, policy=doses, wrt="policy", estimator="marginal", num_episodes=128)


uphill = estimate_return(half, SEED).gradient.mean["policy"]
fewer = jnp.array([1.0, -1.0, 0.0, 0.0])  # from coffee to nothing, at every decision
higher, lower = (
    estimate_return(gradients.Doses(half.weights + step * fewer), SEED).value.mean for step in (1e-4, -1e-4)
)
show("return of half coffees", estimate_return(half, SEED).value.mean)
show("derivative towards less coffee", jnp.sum(uphill * fewer))
show("its finite difference", (higher - lower) / 2e-4)

# %% [markdown]
# Up the gradient, with a step that stays in the simplex: multiply every weight by exp(its derivative), and make the
# rows sum to 1 again. Each step has noise of its own, lest the schedule learn that of one sequence. What is 0 stays 0,
# so there will be no beer.

# %%
doses = half
for key in jax.random.split(jax.random.key(2), 20):
    weights = doses.weights * jnp.exp(estimate_return(doses, key).gradient.mean["policy"])
    doses = gradients.Doses(weights / weights.sum(axis=1, keepdims=True))

fresh = jax.random.key(3)
for name, schedule in (("half coffees", half), ("after 20 steps", doses)):
    value = estimate_return(schedule, fresh).value
    show(f"{name}: cups, return, error", schedule.weights[:, COFFEE].sum(), value.mean, value.standard_error)

figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
axes.step(range(16), half.weights[:, COFFEE], where="mid", color=style.VERMILLION, label="to begin with")
axes.step(range(16), doses.weights[:, COFFEE], where="mid", color=style.BLUE, label="after 20 steps")
axes.set_ylim(0.0, 0.6)
axes.set_xlabel("decision")
axes.set_ylabel("fraction of a coffee")
axes.legend(frameon=False)
style.clean(axes)
save(figure, "doses")

# %% [markdown]
# Most of the coffee goes: 8 cups become 2.6, and the return goes from -2.3 to -1.2. 20 steps have not converged: late
# cups can do little harm any more, so their derivatives are small. And fractions are an assumption
# (docs/gradients.md); whole actions are chosen by a policy, and `heartpole_jax.evaluation` evaluates those.
