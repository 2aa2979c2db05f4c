"""wattsweep: what training a neural network costs in energy, and what would cost less."""

__version__ = "0.1.0"
