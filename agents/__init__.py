"""Training code that runs from the clone: a DQN whose whole life is one compiled program.

from agents import dqn
"""
