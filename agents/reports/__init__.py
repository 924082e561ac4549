"""Pages about runs and sweeps, and their figures."""
