"""BMC credentials: from a file that only its owner can read, or from the environment. They are never printed."""

import os
import resource
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from wattsweep.errors import PowerError

USERNAME_VARIABLE = "WATTSWEEP_BMC_USERNAME"
PASSWORD_VARIABLE = "WATTSWEEP_BMC_PASSWORD"  # noqa: S105 - the name of a variable
LONGEST_USERNAME = 16
LONGEST_PASSWORD = 20


@dataclass(frozen=True, slots=True)
class Credentials:
    """A BMC user. Neither field shows in `repr`."""

    username: str = field(repr=False)
    password: str = field(repr=False)


def load_credentials(path: Path | None, environment: Mapping[str, str] | None = None) -> Credentials:
    """The credentials in the YAML file `path` (`username`, `password`; mode 0600), or in the environment where None.

    Raises PowerError when they are missing, when the file can be read by others, or when they are longer than
    IPMI 2.0 allows (16 and 20 bytes). No message holds what a credential is. From then on neither this process nor one
    that it starts leaves a core dump, which would hold them.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if path is None:
        credentials, origin = _from_environment(os.environ if environment is None else environment)
    else:
        credentials, origin = _from_file(path), str(path)
    for name, value, longest in (
        ("username", credentials.username, LONGEST_USERNAME),
        ("password", credentials.password, LONGEST_PASSWORD),
    ):
        if not 0 < len(value.encode()) <= longest:
            raise PowerError(
                f"The {name} from {origin} has {len(value.encode())} bytes; IPMI 2.0 allows 1 to {longest}."
            )
    return credentials


def _from_environment(environment: Mapping[str, str]) -> tuple[Credentials, str]:
    missing = [name for name in (USERNAME_VARIABLE, PASSWORD_VARIABLE) if not environment.get(name)]
    if missing:
        raise PowerError(
            f"No credentials for the BMC: {' and '.join(missing)} not set. Set {USERNAME_VARIABLE} and "
            f"{PASSWORD_VARIABLE}, or name a file with power.ipmi.credentials_file."
        )
    return Credentials(environment[USERNAME_VARIABLE], environment[PASSWORD_VARIABLE]), "the environment"


def _from_file(path: Path) -> Credentials:
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise PowerError(
                    f"The credentials file {path} has mode {mode:04o}, so others may read it. Run: chmod 600 {path}"
                )
            content = yaml.safe_load(file)
    except OSError as error:
        raise PowerError(f"The credentials file {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        content = None  # what the parser says quotes the file
    if not isinstance(content, dict) or set(content) != {"username", "password"}:
        raise PowerError(f"The credentials file {path} must be YAML with the keys username and password, no others.")
    for key, value in content.items():
        if not isinstance(value, str):
            raise PowerError(f"The credentials file {path}: {key} must be text; put it in quotes.")
    return Credentials(content["username"], content["password"])
