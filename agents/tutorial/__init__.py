"""The published tutorial, with this project's DQN."""
