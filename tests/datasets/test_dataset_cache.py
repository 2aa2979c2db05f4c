import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from wattsweep.datasets import cache, dataset_path, encode, load, prepare, read_facts, synthetic
from wattsweep.errors import DatasetError

NAME = "classes_100x3x4"


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    return prepare("synthetic", NAME, tmp_path / "cache", tmp_path / "pmlb")


def write_archive(path: Path, **members: np.ndarray) -> None:
    with path.open("wb") as stream:
        np.savez(stream, **members)  # type: ignore[arg-type]


def as_bytes(metadata: object) -> np.ndarray:
    return np.frombuffer(json.dumps(metadata).encode(), dtype=np.uint8)


def test_a_prepared_dataset_is_what_was_encoded(prepared: Path, tmp_path: Path) -> None:
    dataset = load(prepared)
    direct = encode(synthetic.read(NAME))
    np.testing.assert_array_equal(dataset.features, direct.features)
    np.testing.assert_array_equal(dataset.responses, direct.responses)
    assert dataset.columns == direct.columns
    for key in ("source", "name", "task", "head", "raw_features", "sha256", "n_inputs", "n_outputs"):
        assert getattr(dataset, key) == getattr(direct, key)
    assert not dataset.features.flags.writeable


def test_facts_without_the_arrays(prepared: Path) -> None:
    dataset, facts = load(prepared), read_facts(prepared)
    for key in facts.__dataclass_fields__:
        assert getattr(facts, key) == getattr(dataset, key)
    assert (facts.n_observations, facts.n_inputs, facts.n_outputs, facts.head) == (100, 3, 4, "softmax")


def test_where_the_file_is(prepared: Path, tmp_path: Path) -> None:
    assert prepared == tmp_path / "cache" / "synthetic" / f"{NAME}.npz"
    assert prepared == dataset_path(tmp_path / "cache", "synthetic", NAME)
    assert [path.name for path in prepared.parent.iterdir()] == [prepared.name]


def test_a_whole_file_is_kept(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_read_source", lambda *_: pytest.fail("read again"))
    assert prepare("synthetic", NAME, tmp_path / "cache", tmp_path / "pmlb") == prepared


def test_a_broken_file_is_made_again(prepared: Path, tmp_path: Path) -> None:
    expected = load(prepared).sha256
    prepared.write_bytes(prepared.read_bytes()[:-100])
    assert load(prepare("synthetic", NAME, tmp_path / "cache", tmp_path / "pmlb")).sha256 == expected


def test_the_file_of_another_dataset_is_made_again(prepared: Path, tmp_path: Path) -> None:
    other = prepare("synthetic", "regression_50x2", tmp_path / "cache", tmp_path / "pmlb")
    prepared.write_bytes(other.read_bytes())
    assert load(prepare("synthetic", NAME, tmp_path / "cache", tmp_path / "pmlb")).name == NAME


def test_pmlb_goes_through_the_local_folder(tmp_path: Path) -> None:
    folder = tmp_path / "pmlb" / "529_pollen"
    folder.mkdir(parents=True)
    rows = "".join(f"{row}\t{row * row}\n" for row in range(30))
    (folder / "529_pollen.tsv").write_text("a\ttarget\n" + rows, encoding="utf-8")
    facts = read_facts(prepare("pmlb", "529_pollen", tmp_path / "cache", tmp_path / "pmlb"))
    assert (facts.source, facts.head, facts.n_inputs, facts.n_observations) == ("pmlb", "regression", 1, 30)


def test_bundled_can_be_prepared(tmp_path: Path) -> None:
    assert load(prepare("bundled", "iris", tmp_path, tmp_path)).n_observations == 150


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".hidden", "", "a\n", "x" * 129, "é", "a\x00b", "C:x"])
def test_no_name_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of a file's name"):
        dataset_path(tmp_path, "pmlb", name)


def test_no_source_leaves_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'\\.\\./pmlb' is unknown"):
        dataset_path(tmp_path, "../pmlb", "iris")


def test_a_missing_file() -> None:
    with pytest.raises(DatasetError, match=r"no prepared dataset .*nowhere\.npz: prepare it first"):
        load(Path("nowhere.npz"))


def test_truncation_at_any_length_is_noticed(prepared: Path) -> None:
    whole = prepared.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        prepared.write_bytes(whole[:length])
        with pytest.raises(DatasetError, match=r"classes_100x3x4\.npz is not a usable .* prepare it again"):
            load(prepared)


def test_a_changed_byte_of_an_array_is_noticed(prepared: Path) -> None:
    whole = prepared.read_bytes()
    values = load(prepared).features.tobytes()
    position = whole.index(values) + len(values) // 2
    prepared.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
    with pytest.raises(DatasetError, match="not a usable prepared dataset"):
        load(prepared)


def test_foreign_arrays_under_a_true_description_are_noticed(prepared: Path) -> None:
    with np.load(prepared) as archive:
        members = dict(archive)
    members["features"] = members["features"][:, ::-1].copy()
    write_archive(prepared, **members)
    with pytest.raises(DatasetError, match="do not match their checksum"):
        load(prepared)
    write_archive(prepared, **(members | {"features": members["features"].astype(np.float64)}))
    with pytest.raises(DatasetError, match="float64 of 2 dimensions"):
        load(prepared)


def test_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "foreign.npz"
    zeros = np.zeros((2, 2), np.float32)
    contents = {
        "text": b"hello",
        "pickle": pickle.dumps({"a": 1}),
        "npy": b"\x93NUMPY\x01\x00" + b"\x00" * 200,
    }
    for content in contents.values():
        path.write_bytes(content)
        with pytest.raises(DatasetError, match="not a usable prepared dataset"):
            load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DatasetError, match="not a usable prepared dataset"):
        load(path)
    descriptions: list[object] = [{"format": "wattsweep dataset 0"}, [], "x"]
    for metadata in descriptions:
        write_archive(path, metadata=as_bytes(metadata), features=zeros, responses=zeros)
        with pytest.raises(DatasetError, match="its format is"):
            load(path)
    write_archive(path, metadata=as_bytes({"format": cache.FORMAT}), features=zeros, responses=zeros)
    for read in (load, read_facts):
        with pytest.raises(DatasetError, match="description is incomplete"):
            read(path)
    write_archive(path, metadata=np.array([{"a": 1}], dtype=object), features=zeros, responses=zeros)
    with pytest.raises(DatasetError, match="not a usable prepared dataset"):
        load(path)


def test_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"cannot be written to .*cache"):
        prepare("synthetic", NAME, tmp_path / "cache", tmp_path)


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare("synthetic", NAME, tmp_path, tmp_path)
    assert list((tmp_path / "synthetic").iterdir()) == []
