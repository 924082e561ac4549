"""What the world does: the body, the versions of HeartPole, and `Environment`, what a version is."""
