"""The configuration: one pydantic model per block of config.yaml.

- `load(path)` reads a file, `parse(document)` takes what YAML gave; both raise `ConfigError` with every mistake.
- `explaining` says what a key means, `comparing` what differs between two configurations.
- `starting` writes a configuration to begin with, `checkout` finds presets and the schema.
- `reference.schema()` and `reference.page()` generate the JSON schema and the reference page.
"""

from wattsweep.config.blocks import AnalysisConfig, Config, PathsConfig, SchedulingConfig, TrainingConfig
from wattsweep.config.loading import load, parse
from wattsweep.config.meters import IpmiConfig, SimulatedConfig
from wattsweep.config.power import PowerConfig
from wattsweep.config.publication import PublicationConfig
from wattsweep.config.sweeps import Hypercube

__all__ = [
    "AnalysisConfig",
    "Config",
    "Hypercube",
    "IpmiConfig",
    "PathsConfig",
    "PowerConfig",
    "PublicationConfig",
    "SchedulingConfig",
    "SimulatedConfig",
    "TrainingConfig",
    "load",
    "parse",
]
