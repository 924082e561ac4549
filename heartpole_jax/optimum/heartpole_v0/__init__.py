"""HeartPole-v0 solved: what no policy exceeds, the best without drinks, and the proof that it is the best of all."""
