"""What is known of the sources of each node, from calibrations: `FOLDER/NODE.json`.

`write_profile` keeps a calibration, `read_profile` gives a node's, and `calibrated_facts` what a recorder takes of one.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wattsweep.disk import why_not_written, write_text
from wattsweep.errors import PowerError
from wattsweep.power.calibration import Calibration

FORMAT = "wattsweep node profile"
VERSION = 1


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """A calibration and when it was made, as ISO 8601 in UTC."""

    date: str
    calibration: Calibration


def profile_path(folder: Path, node: str) -> Path:
    """The file of a node, by its short host name."""
    return folder / f"{node.split('.', maxsplit=1)[0]}.json"


def write_profile(folder: Path, node: str, source_identity: str, calibration: Calibration) -> Path:
    """Keep a calibration in the node's file, in place of an earlier one of the same source; the file's path.

    `source_identity` is that of `wattsweep.power.sources.specs.identity`. The file is written under a temporary name
    and renamed. Raises PowerError as `read_profile` does, and where the folder cannot be written.
    """
    entries = read_profile(folder, node)
    entries[source_identity] = ProfileEntry(datetime.now(UTC).isoformat(timespec="seconds"), calibration)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "node": node.split(".", maxsplit=1)[0],
        "sources": {
            identity: {"date": entry.date, "calibration": entry.calibration.to_json()}
            for identity, entry in sorted(entries.items())
        },
    }
    path = profile_path(folder, node)
    try:
        write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
    except OSError as error:
        raise PowerError(f"The profile {path} cannot be written: {why_not_written(error)}.") from None
    return path


def read_profile(folder: Path, node: str) -> dict[str, ProfileEntry]:
    """The calibrations of a node's sources by their identities; empty where there is no file.

    Raises PowerError where the file cannot be read, is no profile or is of another version.
    """
    path = profile_path(folder, node)
    remedy = "Move it away, or calibrate again: wattsweep calibrate."
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PowerError(f"The profile {path} cannot be read: {error.strerror}. {remedy}") from None
    except ValueError:
        raise PowerError(f"The profile {path} is not valid JSON. {remedy}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise PowerError(f"{path} is no profile of a node. {remedy}")
    if document.get("version") != VERSION:
        raise PowerError(
            f"The profile {path} is of version {document.get('version')}; this program reads version {VERSION}. "
            f"{remedy}"
        )
    try:
        return {identity: _entry(content) for identity, content in document["sources"].items()}
    except (KeyError, TypeError, AttributeError, ValueError):
        raise PowerError(f"The profile {path} lacks what a calibration says, or says it wrongly. {remedy}") from None


def calibrated_facts(folder: Path, node: str, source_identity: str) -> dict[str, float]:
    """What a calibration says of a source, by the names of a `SourceDescription`; empty where it has none.

    That of a simulated source is left out: the simulator states its refresh, which the configuration may have changed
    since. Raises PowerError as `read_profile` does.
    """
    entry = read_profile(folder, node).get(source_identity)
    return {} if entry is None or entry.calibration.origin == "simulated" else entry.calibration.facts()


def _entry(content: dict[str, Any]) -> ProfileEntry:
    calibration = Calibration.from_json(content["calibration"])
    if not all(isinstance(value, int | float) and value >= 0 for value in calibration.facts().values()):
        raise ValueError(calibration.facts())
    return ProfileEntry(str(content["date"]), calibration)
