"""The repository around a file: where the schema, the presets and the workflow are.

- `checkout(folder)` finds the repository that a folder is in, else the one that this package runs from.
- `presets()` gives the shipped configurations by name, `preset_text(name)` the text of one.
- `with_schema(text, folder)` makes an editor know the schema of a configuration that is written to a folder.
"""

import os
import re
from pathlib import Path

import wattsweep
from wattsweep.config.messages import nearest
from wattsweep.config.reference import SCHEMA_PATH, schema_text
from wattsweep.errors import ConfigError

MODELINE = "# yaml-language-server: $schema="
"""How the first line of a configuration names its schema to editors."""
SCHEMA_COPY = "wattsweep.schema.json"
WORKFLOW = Path("workflow") / "Snakefile"
DEMO = "demo"
"""The name of the shipped config.yaml as a preset."""


def checkout(folder: Path) -> Path | None:
    """The repository that a folder is in, else the one that this package runs from; None where there is neither."""
    return _around(folder) or _around(Path(wattsweep.__file__).parent)


def presets() -> dict[str, Path]:
    """The shipped configurations by name; none where the package was installed without its repository."""
    root = checkout(Path.cwd())
    if root is None:
        return {}
    named = {path.stem: path for path in (root / "configs").glob("*.yaml")}
    shipped = {DEMO: root / "config.yaml"} | dict(sorted(named.items()))
    return {name: path for name, path in shipped.items() if path.exists()}


def preset_text(name: str) -> str:
    """The text of a shipped configuration; raises ConfigError where there is none of that name."""
    known = presets()
    if not known:
        raise ConfigError(
            f"preset {name}: presets are files of wattsweep's repository, from which this package was not installed. "
            "Go to a folder in it, or leave --preset out."
        )
    if name not in known:
        raise ConfigError(f"preset {name}: not known{nearest(name, known)} There are: {', '.join(known)}.")
    return known[name].read_text(encoding="utf-8")


def with_schema(text: str, folder: Path) -> str:
    """The text of a configuration whose first line names the schema as it is seen from a folder.

    In a repository that is the schema there; elsewhere a copy that is written beside the configuration.
    """
    root = _around(folder)
    if root is None:
        (folder / SCHEMA_COPY).write_text(schema_text(), encoding="utf-8")
        schema = SCHEMA_COPY
    else:
        schema = Path(os.path.relpath(root / SCHEMA_PATH, folder.resolve())).as_posix()
    rest = re.sub(rf"\A{re.escape(MODELINE)}.*\n", "", text)
    return f"{MODELINE}{schema}\n{rest}"


def _around(folder: Path) -> Path | None:
    folder = folder.resolve()
    return next((one for one in (folder, *folder.parents) if (one / SCHEMA_PATH).exists()), None)
