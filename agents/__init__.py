"""Training code that runs from the clone: a DQN whose whole training is one compiled program.

from agents import dqn
"""
