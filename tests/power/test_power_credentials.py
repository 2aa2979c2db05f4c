from pathlib import Path

import pytest

from wattsweep.errors import PowerError
from wattsweep.power.credentials import load_credentials

SECRET = "tr0ub4dor"


def credentials_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "bmc.yaml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_private_file_is_read(tmp_path: Path) -> None:
    credentials = load_credentials(credentials_file(tmp_path, f"username: monitor\npassword: {SECRET}\n"))
    assert (credentials.username, credentials.password) == ("monitor", SECRET)
    assert SECRET not in repr(credentials)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o610])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = credentials_file(tmp_path, f"username: monitor\npassword: {SECRET}\n", mode)
    with pytest.raises(PowerError, match=rf"mode {mode:04o}.*chmod 600"):
        load_credentials(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"password: {SECRET}\n", "keys username and password"),
        (f"username: a\npassword: {SECRET}\nextra: 1\n", "keys username and password"),
        (f"{SECRET}: [\n", "keys username and password"),
        (f"- {SECRET}\n", "keys username and password"),
        ("username: monitor\npassword: 12345678\n", "password must be text"),
        (f"username: monitor\npassword: {SECRET * 3}\n", "27 bytes; IPMI 2.0 allows 1 to 20"),
        (f"username: ''\npassword: {SECRET}\n", "0 bytes; IPMI 2.0 allows 1 to 16"),
    ],
)
def test_what_is_wrong_is_said_without_the_secret(tmp_path: Path, text: str, words: str) -> None:
    path = credentials_file(tmp_path, text)
    with pytest.raises(PowerError, match=words) as caught:
        load_credentials(path)
    assert SECRET not in str(caught.value)
    assert "12345678" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match="No such file"):
        load_credentials(tmp_path / "none.yaml")


def test_the_environment_serves_where_no_file_is_named() -> None:
    environment = {"WATTSWEEP_BMC_USERNAME": "monitor", "WATTSWEEP_BMC_PASSWORD": SECRET}
    assert load_credentials(None, environment).password == SECRET
    with pytest.raises(PowerError, match="WATTSWEEP_BMC_PASSWORD not set"):
        load_credentials(None, {"WATTSWEEP_BMC_USERNAME": "monitor"})
