from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from andon.core.records import Dataset
from andon.errors import BadData
from andon.formats import ReadOptions
from andon.formats.class_folders import detect, read


def picture(path: Path, seed: int = 0, kind: str = "JPEG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, kind)
    return path


def pictures(root: Path, names: Iterable[str]) -> Dataset:
    for seed, name in enumerate(names):
        picture(root / name, seed)
    return read(root, ReadOptions())


def labels(dataset: Dataset) -> dict[str, str]:
    return {image.key: image.labels[0] for image in dataset.images}


def codes(dataset: Dataset) -> list[str]:
    return [problem.code for problem in dataset.problems]


def test_one_folder_per_class(tmp_path: Path) -> None:
    dataset = pictures(tmp_path, ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"])
    assert labels(dataset) == {"cat/1.jpg": "cat", "cat/2.jpg": "cat", "dog/1.jpg": "dog"}
    assert {image.split for image in dataset.images} == {None}
    assert dataset.problems == ()


def test_nested_folders_belong_to_their_class(tmp_path: Path) -> None:
    dataset = pictures(tmp_path, ["cat/2024/may/1.jpg", "cat/1.jpg", "dog/a b/1.jpg"])
    assert labels(dataset) == {"cat/2024/may/1.jpg": "cat", "cat/1.jpg": "cat", "dog/a b/1.jpg": "dog"}


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "val", "test"), {"train", "val", "test"}),
        (("Train", "Valid", "TEST"), {"train", "val", "test"}),
        (("training", "validation", "testing"), {"train", "val", "test"}),
        (("train", "test"), {"train", "test"}),
    ],
)
def test_split_folders_above_the_classes(tmp_path: Path, folders: tuple[str, ...], splits: set[str]) -> None:
    dataset = pictures(tmp_path, [f"{folder}/{name}/1.jpg" for folder in folders for name in ("ok", "bad")])
    assert dataset.classes == ("bad", "ok")
    assert {image.split for image in dataset.images} == splits


def test_classes_may_be_called_like_splits_when_others_are_not(tmp_path: Path) -> None:
    dataset = pictures(tmp_path, ["train/1.jpg", "car/1.jpg", "bus/1.jpg"])
    assert dataset.classes == ("bus", "car", "train")


def test_split_folders_without_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"named like splits \(test, train\).*test/CLASS/photo\.jpg"):
        pictures(tmp_path, ["train/1.jpg", "test/1.jpg"])


def test_images_folder_with_masks_beside_it(tmp_path: Path) -> None:
    dataset = pictures(tmp_path, ["images/good/1.jpg", "images/bad/1.jpg", "masks/bad/1.png"])
    assert labels(dataset) == {"images/good/1.jpg": "good", "images/bad/1.jpg": "bad"}


def test_a_class_called_images_beside_others_stays_a_class(tmp_path: Path) -> None:
    dataset = pictures(tmp_path, ["images/new/1.jpg", "drawings/1.jpg"])
    assert dataset.classes == ("drawings", "images")


def test_content_decides_and_names_claim(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "no_suffix", 1)
    picture(tmp_path / "a" / "misnamed.dat", 2)
    picture(tmp_path / "b" / "UPPER.JPEG", 3)
    (tmp_path / "b" / "paper.jpg").write_bytes(b"%PDF-1.7 not a photo")
    (tmp_path / "b" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0 thumbs")
    (tmp_path / "b" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "b" / "._UPPER.JPEG").write_bytes(b"\0\5\x16\7 a resource fork")
    dataset = read(tmp_path, ReadOptions())
    # What is called an image and is none stays in, so that it is named with its reason when it is decoded.
    assert set(labels(dataset)) == {"a/no_suffix", "a/misnamed.dat", "b/UPPER.JPEG", "b/paper.jpg"}
    assert codes(dataset) == ["not_an_image"]
    assert set(dataset.problems[0].keys) == {"b/Thumbs.db", "b/.DS_Store", "b/._UPPER.JPEG"}


def test_an_empty_class_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "rust").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "read me.txt").write_text("nothing", encoding="utf-8")
    dataset = pictures(tmp_path, ["ok/1.jpg", "bad/1.jpg"])
    assert dataset.classes == ("bad", "ok")
    empty = [problem.message for problem in dataset.problems if problem.code == "empty_class"]
    assert len(empty) == 2
    assert "'notes'" in empty[0]
    assert "'rust'" in empty[1]


def test_images_outside_every_class_are_said(tmp_path: Path) -> None:
    dataset = pictures(tmp_path, ["ok/1.jpg", "bad/1.jpg", "stray.jpg"])
    assert codes(dataset) == ["no_class"]
    assert dataset.problems[0].keys == ("stray.jpg",)


def test_images_beside_the_classes_of_a_split_are_said(tmp_path: Path) -> None:
    dataset = pictures(tmp_path, ["train/ok/1.jpg", "train/bad/1.jpg", "train/stray.jpg", "val/ok/2.jpg"])
    assert codes(dataset) == ["no_class"]
    assert dataset.problems[0].keys == ("train/stray.jpg",)


def test_hidden_and_program_folders_are_no_classes(tmp_path: Path) -> None:
    dataset = pictures(tmp_path, ["ok/1.jpg", "bad/1.jpg", ".git/x.jpg", "__MACOSX/1.jpg", "ok/.thumbs/1.jpg"])
    assert set(labels(dataset)) == {"ok/1.jpg", "bad/1.jpg"}


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "1.jpg", 1)
    root = tmp_path / "data"
    picture(root / "ok" / "2.jpg", 2)
    picture(root / "bad" / "3.jpg", 3)
    try:
        (root / "ok" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        (root / "ok" / "again").symlink_to(root / "ok", target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    assert set(labels(read(root, ReadOptions()))) == {"ok/2.jpg", "ok/linked/1.jpg", "bad/3.jpg"}


def test_links_that_lead_nowhere_stay_in_to_be_named(tmp_path: Path) -> None:
    picture(tmp_path / "ok" / "1.jpg", 1)
    picture(tmp_path / "bad" / "1.jpg", 2)
    try:
        (tmp_path / "ok" / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
        (tmp_path / "ok" / "self.jpg").symlink_to(tmp_path / "ok" / "self.jpg")
    except OSError:
        pytest.skip("links cannot be made here")
    assert set(labels(read(tmp_path, ReadOptions()))) == {"ok/1.jpg", "ok/gone.jpg", "ok/self.jpg", "bad/1.jpg"}


def test_a_name_that_is_no_text_is_left_out_and_said(tmp_path: Path) -> None:
    picture(tmp_path / "ok" / "1.jpg", 1)
    picture(tmp_path / "bad" / "1.jpg", 2)
    try:
        picture(tmp_path / "bad" / "사진.jpg".encode("cp949").decode("utf-8", "surrogateescape"), 3)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes only valid names")
    dataset = read(tmp_path, ReadOptions())
    assert set(labels(dataset)) == {"ok/1.jpg", "bad/1.jpg"}
    assert codes(dataset) == ["bad_name"]
    assert "Rename" in dataset.problems[0].message
    dataset.problems[0].message.encode()


def test_a_class_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    try:
        picture(tmp_path / "흠집".encode("cp949").decode("utf-8", "surrogateescape") / "1.jpg")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes only valid names")
    with pytest.raises(BadData, match="rename it"):
        read(tmp_path, ReadOptions())


def test_photos_without_folders_are_not_recognised(tmp_path: Path) -> None:
    picture(tmp_path / "1.jpg")
    assert not detect(tmp_path)
    with pytest.raises(BadData, match="DATA/CLASS/photo"):
        read(tmp_path, ReadOptions())


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("no photo", encoding="utf-8")
    assert not detect(tmp_path)
    with pytest.raises(BadData, match="1 file but no image"):
        read(tmp_path, ReadOptions())


def test_a_file_is_no_class_folder(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="not a folder"):
        read(picture(tmp_path / "1.jpg"), ReadOptions())


@pytest.mark.parametrize("beside", ["masks", "annotations", "labels"])
def test_a_further_folder_does_not_turn_images_and_masks_into_classes(tmp_path: Path, beside: str) -> None:
    picture(tmp_path / beside / "pit" / "1.png", 9, "PNG")
    (tmp_path / "run").mkdir()
    dataset = pictures(tmp_path, ["images/pit/1.jpg", "images/good/1.jpg"])
    assert dataset.classes == ("good", "pit")
    assert codes(dataset) == ["not_read"]
    assert "run" in dataset.problems[0].message
