"""Files and folders that appear whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from wattsweep.disk import (
    LEFT_S,
    LEFT_WHERE_SLOW_S,
    folder_in_place_of,
    in_place_of,
    obstacle,
    why_not_written,
    write_bytes,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path) -> None:
    path.write_bytes(b"half of")
    raise InterruptedError


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_text(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    write_bytes(path, b"other")
    with pytest.raises(InterruptedError), in_place_of(path) as temporary:
        write_half(temporary)
    assert path.read_bytes() == b"other"
    assert names(path.parent) == ["file"]


def test_a_folder_is_replaced_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    for content in ("first", "second"):
        with folder_in_place_of(path) as temporary:
            (temporary / content).touch()
    with pytest.raises(InterruptedError), folder_in_place_of(path) as temporary:
        write_half(temporary / "third")
    assert names(path) == ["second"]
    assert names(tmp_path) == ["folder"]


def test_of_two_who_replace_a_folder_the_later_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with folder_in_place_of(path) as first:
        (first / "first").touch()
        with folder_in_place_of(path) as second:
            (second / "second").touch()
    assert names(path) == ["first"]
    assert names(tmp_path) == ["folder"]


def test_another_folder_may_appear_while_one_is_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder"
    rename = Path.rename
    others = iter(["other"])

    def meanwhile(self: Path, target: Path) -> Path:
        if target == path and (other := next(others, None)):
            path.mkdir()
            (path / other).touch()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", meanwhile)
    with folder_in_place_of(path) as temporary:
        (temporary / "ours").touch()
    assert names(path) == ["ours"]
    assert names(tmp_path) == ["folder"]


def test_without_room_for_a_name_the_old_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "folder"
    with folder_in_place_of(path) as temporary:
        (temporary / "old").touch()
    rename = Path.rename
    fails = iter([True])

    def full(self: Path, target: Path) -> Path:
        if target == path and next(fails, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left") as caught, folder_in_place_of(path) as temporary:
        (temporary / "new").touch()
    assert obstacle(caught.value) == f"{path}: the disk is full: free some space"
    assert names(path) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_what_killed_processes_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    ages_s = {
        ".file.1.tmp": 2 * LEFT_S,
        ".file.2.tmp": 0.0,
        ".folder.1.tmp": 2 * LEFT_WHERE_SLOW_S,
        ".folder.2.tmp": 0.0,
    }
    for name, age_s in ages_s.items():
        inner = tmp_path / name / "inner" if "folder" in name else tmp_path / name
        inner.parent.mkdir(exist_ok=True)
        inner.touch()
        for one in (inner, tmp_path / name):
            os.utime(one, (one.stat().st_mtime - age_s,) * 2)
    # Written to a moment ago, though its folder was made long ago.
    (tmp_path / ".folder.3.tmp").mkdir()
    (tmp_path / ".folder.3.tmp" / "inner").touch()
    os.utime(tmp_path / ".folder.3.tmp", (0.0, 0.0))
    write_text(tmp_path / "file", "")
    with folder_in_place_of(tmp_path / "folder"):
        pass
    assert names(tmp_path) == [".file.2.tmp", ".folder.2.tmp", ".folder.3.tmp", "file", "folder"]


@pytest.mark.parametrize(("number", "named"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)])
def test_what_there_is_no_room_for_is_named(number: int, named: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(OSError, match=os.strerror(number)) as caught, in_place_of(path):
        raise OSError(number, os.strerror(number))
    assert obstacle(caught.value).startswith(f"{path}: ") == named


def test_why_a_file_is_not_written() -> None:
    assert why_not_written(OSError(errno.EDQUOT, "")) == "your quota is used up: free some space, or ask for more"
    assert (
        why_not_written(OSError(errno.ENAMETOOLONG, "File name too long")) == "File name too long: choose another place"
    )
