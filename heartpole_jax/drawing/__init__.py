"""Pictures of HeartPole: `curves` of the body, `strip_chart` of an episode, `versus` of two, `action_map` of a policy.

Importing any of them needs matplotlib.
"""
