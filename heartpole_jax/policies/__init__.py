"""Scripted policies, `policies.make("reference")`, and saved ones. HeartPole-v1's are in `policies.heartpole_v1`."""

from heartpole_jax.policies import heartpole_v1
from heartpole_jax.policies.heartpole_v0 import (
    SCRIPTED,
    always,
    ballmer_peak,
    coffee_after_waking,
    make,
    optimal,
    reference,
    rested,
    schedule,
    uniformly_random,
)

__all__ = [
    "SCRIPTED",
    "always",
    "ballmer_peak",
    "coffee_after_waking",
    "heartpole_v1",
    "make",
    "optimal",
    "reference",
    "rested",
    "schedule",
    "uniformly_random",
]
