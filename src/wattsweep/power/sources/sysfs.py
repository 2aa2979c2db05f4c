"""Small files of the kernel, one value each, and why one of them cannot be read."""

import grp
import os
import pwd
import stat
from pathlib import Path


def read_text(path: Path) -> str:
    """The file's text, without the white space around it. Raises OSError."""
    return path.read_text(encoding="utf-8", errors="replace").strip()


def read_optional(path: Path) -> str | None:
    """The file's text, or None where it is not there or cannot be read."""
    try:
        return read_text(path)
    except OSError:
        return None


def read_int(path: Path) -> int:
    """The whole number that the file holds, in the file's own unit. Raises OSError, or ValueError for other text."""
    return int(read_text(path))


def obstacle(path: Path, error: OSError | ValueError) -> str:
    """Why reading `path` gave `error`, as part of a sentence; a file that may not be read is there all the same."""
    if isinstance(error, FileNotFoundError):
        return f"there is no {path}"
    if isinstance(error, PermissionError):
        return f"{path} is there, but user {_user_name(os.geteuid())} may not read it{_mode(path)}"
    if isinstance(error, OSError):
        return f"{path} cannot be read ({error.strerror})"
    return f"{path} does not hold a number as expected ({error})"


def _mode(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    mode, owner, group = stat.S_IMODE(status.st_mode), _user_name(status.st_uid), _group_name(status.st_gid)
    return f" (mode {mode:04o}, owner {owner}, group {group})"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
