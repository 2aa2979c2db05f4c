import gzip
from pathlib import Path

import numpy as np
import pytest

from wattsweep.datasets import bundled, encode, pmlb_source, synthetic
from wattsweep.datasets.names import BUNDLED
from wattsweep.errors import DatasetError

# name: task, head, n, inputs, outputs, rules. All counts from scikit-learn's own descriptions; of diabetes's ten
# columns one, sex, has two values.
BUNDLED_FACTS = {
    "breast_cancer": ("classification", "binary", 569, 30, 1, {"min_max"}),
    "diabetes": ("regression", "regression", 442, 10, 1, {"min_max", "binary"}),
    "digits": ("classification", "softmax", 1797, 64, 10, {"pixel"}),
    "iris": ("classification", "softmax", 150, 4, 3, {"min_max"}),
    "wine": ("classification", "softmax", 178, 13, 3, {"min_max"}),
}


def write_pmlb(folder: Path, name: str, text: str, *, compressed: bool = True) -> Path:
    """A file as PMLB publishes it: gzip, tab separated, a header line, the column `target` last."""
    path = folder / name / (f"{name}.tsv.gz" if compressed else f"{name}.tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    return path


def fetch_by(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Put a program in the place of the one that downloads; it gets the dataset's name and a folder."""
    monkeypatch.setattr(pmlb_source, "_FETCH_PROGRAM", program)


def test_every_bundled_name_is_described_here() -> None:
    assert BUNDLED_FACTS.keys() == BUNDLED.keys()


@pytest.mark.parametrize("name", sorted(BUNDLED_FACTS))
def test_bundled(name: str) -> None:
    dataset = encode(bundled.read(name))
    rules = {column.rule for column in dataset.columns}
    facts = (dataset.task, dataset.head, dataset.n_observations, dataset.n_inputs, dataset.n_outputs, rules)
    assert facts == BUNDLED_FACTS[name]
    assert (dataset.source, dataset.name) == ("bundled", name)
    assert dataset.features.min() == 0
    assert dataset.features.max() == 1


def test_bundled_digits_keep_their_empty_pixels() -> None:
    dataset = encode(bundled.read("digits"))
    assert dataset.raw_features == dataset.n_inputs == 64
    assert not dataset.features[:, 0].any()
    assert set(np.unique(dataset.features * 16)) == set(range(17))


def test_bundled_knows_no_other_name() -> None:
    with pytest.raises(ValueError, match="bundled:boston"):
        bundled.read("boston")


@pytest.mark.parametrize("compressed", [True, False])
def test_pmlb_local_file(tmp_path: Path, compressed: bool) -> None:
    text = "a\tb\ttarget\n" + "".join(f"{row}\tx{row % 3}\t{row % 4}\n" for row in range(30))
    path = write_pmlb(tmp_path, "nursery", text, compressed=compressed)
    assert pmlb_source.local_file("nursery", tmp_path) == path
    table = pmlb_source.read("nursery", tmp_path)
    assert (table.source, table.name, table.task) == ("pmlb", "nursery", "classification")
    assert list(table.column_names) == ["a", "b"]
    assert table.columns[0].tolist() == list(range(30))
    assert table.columns[1].tolist() == [f"x{row % 3}" for row in range(30)]
    assert encode(table).n_inputs == 1 + 3


def test_pmlb_target_may_stand_anywhere(tmp_path: Path) -> None:
    text = "target\ta\n" + "".join(f"{row / 7}\t{row}\n" for row in range(30))
    table = pmlb_source.read("529_pollen", write_pmlb(tmp_path, "529_pollen", text).parent.parent)
    assert list(table.column_names) == ["a"]
    assert table.target.tolist() == [row / 7 for row in range(30)]


def test_pol_is_trained_as_a_classification(tmp_path: Path) -> None:
    write_pmlb(tmp_path, "201_pol", "a\ttarget\n" + "".join(f"{row}\t{row % 11 * 10.0}\n" for row in range(44)))
    dataset = encode(pmlb_source.read("201_pol", tmp_path))
    assert (dataset.task, dataset.head, dataset.n_outputs) == ("classification", "softmax", 11)


def test_banana_is_a_regression_with_a_binary_response(tmp_path: Path) -> None:
    rows = "".join(f"{row}\t{row * row}\t{-1 if row % 3 else 1}\n" for row in range(40))
    write_pmlb(tmp_path, "banana", "At1\tAt2\ttarget\n" + rows)
    dataset = encode(pmlb_source.read("banana", tmp_path))
    assert (dataset.task, dataset.head, dataset.n_outputs) == ("regression", "binary", 1)
    assert dataset.responses[:3, 0].tolist() == [1, 0, 0]


def test_mnist_pixels_are_divided_by_255(tmp_path: Path) -> None:
    rows = "".join(f"0\t{row * 5}\t{row % 10}\n" for row in range(50))
    write_pmlb(tmp_path, "mnist", "p0\tp1\ttarget\n" + rows)
    dataset = encode(pmlb_source.read("mnist", tmp_path))
    assert dataset.features[:, 0].tolist() == [0.0] * 50
    assert dataset.features[:, 1].tolist() == [float(np.float32(row * 5 / 255)) for row in range(50)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\tclass\n1\t2\n", ["nursery.tsv.gz", "no column 'target'"]),
        ("", ["nursery.tsv.gz", "cannot be read"]),
        ("a\ttarget\n1\t2\n1\t2\t3\n", ["nursery.tsv.gz", "cannot be read"]),
        ("a\ttarget\n1\t2\t3\n", ["nursery.tsv.gz", "cannot be read"]),
    ],
)
def test_pmlb_files_that_are_no_tables(tmp_path: Path, text: str, words: list[str]) -> None:
    write_pmlb(tmp_path, "nursery", text)
    with pytest.raises(DatasetError) as caught:
        pmlb_source.read("nursery", tmp_path)
    for word in words:
        assert word in str(caught.value)


def test_pmlb_pointer_and_truncated_files(tmp_path: Path) -> None:
    path = write_pmlb(tmp_path, "nursery", "a\ttarget\n" + "1\t2\n" * 1000)
    whole = path.read_bytes()
    for content in (b"version https://git-lfs.github.com/spec/v1\n", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"nursery\.tsv\.gz cannot be read.*Git LFS"):
            pmlb_source.read("nursery", tmp_path)


@pytest.mark.parametrize("cell", ["", "NA", "nan", "inf", "-inf"])
@pytest.mark.parametrize("column", ["a", "target"])
def test_pmlb_missing_values_are_refused(tmp_path: Path, column: str, cell: str) -> None:
    row = f"{cell}\t1\n" if column == "a" else f"1\t{cell}\n"
    write_pmlb(tmp_path, "nursery", "a\ttarget\n0\t0\n" + row + "5\t3\n")
    with pytest.raises(DatasetError, match=rf"pmlb:nursery, column '{column}': 1 of its 3 .* row 2"):
        encode(pmlb_source.read("nursery", tmp_path))


def test_pmlb_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pmlb:nurseries"):
        pmlb_source.read("nurseries", tmp_path)
    with pytest.raises(ValueError, match="cannot be part of a file's name"):
        pmlb_source.read("../nursery", tmp_path)


def test_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_by(monkeypatch, "from urllib.error import URLError; raise URLError('no route to host')")
    with pytest.raises(DatasetError) as caught:
        pmlb_source.read("529_pollen", tmp_path / "data")
    message = str(caught.value)
    for word in ("pmlb:529_pollen", "529_pollen.tsv.gz", str(tmp_path / "data"), "no route to host", "https://"):
        assert word in message
    assert list((tmp_path / "data").iterdir()) == []


def test_hung_download_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_by(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(pmlb_source, "DOWNLOAD_TIMEOUT", 0.2)
    with pytest.raises(DatasetError, match=r"no end after 0\.2 s"):
        pmlb_source.read("529_pollen", tmp_path)


def test_download_that_brings_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_by(monkeypatch, "pass")
    with pytest.raises(DatasetError, match=r"529_pollen\.tsv\.gz"):
        pmlb_source.read("529_pollen", tmp_path)


def test_download_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_by(
        monkeypatch,
        "import gzip, pathlib, sys; name, folder = sys.argv[1:]; path = pathlib.Path(folder, name);"
        "path.mkdir(); text = 'a\\ttarget\\n' + ''.join(f'{i}\\t{i}\\n' for i in range(30));"
        "(path / (name + '.tsv.gz')).write_bytes(gzip.compress(text.encode()))",
    )
    first = pmlb_source.read("529_pollen", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["529_pollen"]
    fetch_by(monkeypatch, "raise SystemExit('downloaded twice')")
    assert pmlb_source.read("529_pollen", tmp_path).target.tolist() == first.target.tolist() == list(range(30))


def test_a_download_keeps_missing_values_for_us_to_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real program runs on a folder that has the file already, as after a download."""
    write_pmlb(tmp_path / "mirror", "529_pollen", "a\ttarget\n1.5\t2\n\t3\n")
    place = f"import shutil, sys; shutil.copytree({str(tmp_path / 'mirror')!r}, sys.argv[2], dirs_exist_ok=True); "
    fetch_by(monkeypatch, place + pmlb_source._FETCH_PROGRAM)
    assert np.isnan(pmlb_source.read("529_pollen", tmp_path / "data").columns[0][1])


def test_synthetic_classes() -> None:
    dataset = encode(synthetic.read("classes_1000x8x5"))
    assert (dataset.n_observations, dataset.n_inputs, dataset.n_outputs) == (1000, 8, 5)
    assert (dataset.task, dataset.head) == ("classification", "softmax")
    assert dataset.responses.sum(axis=0).tolist() == [200] * 5
    assert encode(synthetic.read("classes_100x3x2")).head == "binary"


def test_synthetic_classes_can_be_told_apart() -> None:
    table = synthetic.read("classes_2000x8x4")
    points = np.stack(table.columns, axis=1)
    means = np.stack([points[table.target == label].mean(axis=0) for label in range(4)])
    nearest = np.linalg.norm(points[:, np.newaxis] - means, axis=2).argmin(axis=1)
    assert 0.6 < (nearest == table.target).mean() < 1


def test_synthetic_regression() -> None:
    dataset = encode(synthetic.read("regression_32x3"))
    assert (dataset.n_observations, dataset.n_inputs, dataset.n_outputs) == (32, 3, 1)
    assert (dataset.task, dataset.head) == ("regression", "regression")
    assert {column.rule for column in dataset.columns} == {"min_max"}


def test_synthetic_is_decided_by_its_name() -> None:
    first, second = (encode(synthetic.read("regression_100x4")) for _ in range(2))
    assert first.sha256 == second.sha256
    assert first.sha256 != encode(synthetic.read("regression_101x4")).sha256
    # Pins the recipe: other first values mean that every prepared synthetic dataset has changed.
    first_values = synthetic.read("regression_100x4").columns[0][:3]
    np.testing.assert_allclose(first_values, [-0.9385464584414026, -1.4161871580858498, 0.4298859664806947])


def test_synthetic_rejects_other_names() -> None:
    with pytest.raises(ValueError, match="needs at least 32"):
        synthetic.read("regression_31x3")
