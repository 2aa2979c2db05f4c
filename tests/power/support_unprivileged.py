"""Running a function as a user whom file modes bind: root reads every file, whatever its mode."""

import json
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to all but the user who runs it."""
    folder = Path(tempfile.mkdtemp(prefix="wattsweep-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def as_user(function: Callable[[], Any]) -> Any:
    """What `function` returns (JSON) as an ordinary user: in a child that gives up root, or here where there is none.

    Skips the test where root cannot be given up.
    """
    if os.geteuid() != 0:
        return function()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        except OSError as error:
            _answer(writer, {"skip": f"root cannot be given up here: {error}"})
        try:
            _answer(writer, {"value": function()})
        except BaseException:  # noqa: BLE001 - the child ends here, and the parent raises what it was
            _answer(writer, {"error": traceback.format_exc()})
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(child, 0)
    if "skip" in answer:
        pytest.skip(answer["skip"])
    assert "error" not in answer, answer["error"]
    return answer["value"]


def _answer(writer: int, answer: dict[str, Any]) -> None:
    os.write(writer, json.dumps(answer).encode())
    os._exit(0)
