"""How fast networks train: `python -m benchmarks.training`."""
