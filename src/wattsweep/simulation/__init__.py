"""Simulated power: a BMC that speaks real IPMI 2.0 on loopback, with watts that follow the node's CPU use.

`SimulatedBmc` runs one; it is read through the same client code as a real one, and its numbers are marked as simulated.
`wattsweep.simulation.measuring.measuring` is the one call that chooses a source, real or simulated, and records it.
"""

from wattsweep.simulation.simulated import SimulatedBmc

__all__ = ["SimulatedBmc"]
