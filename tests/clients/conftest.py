"""These tests need the libraries of requirements.txt, in a virtual environment of their own: `make test-clients`."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("stable_baselines3") else ["test_*.py"]
