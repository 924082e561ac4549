"""One training run on disk: what to train, the loop, the folder with its records and checkpoints, the saved policy."""
