"""Scripted policies, and saved ones.

policies.make("reference")                  of HeartPole-v0
policies.make("coffee", env=env)            of any environment
policies.rested(alertness=0.4)              HeartPole-v0's by their parameters; see `policies.heartpole_v1`
"""

from heartpole_jax.policies import heartpole_v1
from heartpole_jax.policies.epsilon_soft import action_probabilities, epsilon_soft
from heartpole_jax.policies.heartpole_v0 import (
    always,
    ballmer_peak,
    coffee_after_waking,
    optimal,
    reference,
    rested,
    schedule,
)
from heartpole_jax.policies.host import from_host
from heartpole_jax.policies.literature import deepseek_coder, gpt_4o, vadim
from heartpole_jax.policies.scripted import default_policies, make, of, uniformly_random

__all__ = [
    "action_probabilities",
    "always",
    "ballmer_peak",
    "coffee_after_waking",
    "deepseek_coder",
    "default_policies",
    "epsilon_soft",
    "from_host",
    "gpt_4o",
    "heartpole_v1",
    "make",
    "of",
    "optimal",
    "reference",
    "rested",
    "schedule",
    "uniformly_random",
    "vadim",
]
