"""Published files that were damaged on the way: an error of ours that names the file, or rows counted by reason."""

import random
import shutil
from pathlib import Path

import pytest

from tests.faults.support_fuzz import TRIES, changed_bytes, limited
from tests.importers.support_oedi import Submission, small_submission
from wattsweep.errors import WattsweepError
from wattsweep.importers import import_butter_e


@pytest.fixture(scope="module")
def submission(tmp_path_factory: pytest.TempPathFactory) -> Submission:
    return small_submission(tmp_path_factory.mktemp("oedi") / "5991")


@pytest.mark.slow
def test_butter_e_with_one_file_changed(submission: Submission, tmp_path: Path) -> None:
    files = sorted(path.relative_to(submission.folder) for path in submission.folder.rglob("*") if path.is_file())
    copy = tmp_path / "5991"
    shutil.copytree(submission.folder, copy)
    for seed in range(max(20, TRIES // 50)):
        rng = random.Random(seed)
        name = rng.choice(files)
        (copy / name).write_bytes(changed_bytes((submission.folder / name).read_bytes(), rng))
        try:
            with limited(60.0):
                import_butter_e(copy, tmp_path / f"tables-{seed}")
        except WattsweepError as error:
            assert len(str(error)) < 5000, seed  # noqa: PT017
        except Exception as error:
            raise AssertionError(f"seed {seed}: {name}") from error
        finally:
            shutil.copy(submission.folder / name, copy / name)
            shutil.rmtree(tmp_path / f"tables-{seed}", ignore_errors=True)
