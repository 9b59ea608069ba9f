from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixtures_images import BAD_FILES, GOOD_FILES, encoded, pixels

from andon.core.settings import build, to_plain
from andon.datasets import Inspection, inspect_dataset, open_dataset
from andon.errors import BadData

Write = Callable[..., Path]


def inspected(root: Path) -> Inspection:
    return inspect_dataset(open_dataset(root))


def codes(inspection: Inspection) -> list[str]:
    return [problem.code for problem in inspection.problems]


def test_a_good_folder(two_classes: Path) -> None:
    inspection = inspected(two_classes)
    assert (inspection.images, inspection.usable, inspection.imbalance) == (20, 20, 1.0)
    assert [(count.name, count.images) for count in inspection.classes] == [("cat", 10), ("dog", 10)]
    assert all(sum(count.splits.values()) == 10 for count in inspection.classes)
    assert sum(inspection.splits.values()) == 20
    assert inspection.kinds == {"jpeg": 20}
    assert inspection.modes == {"RGB": 20}
    assert inspection.sizes.distinct == 1
    assert inspection.problems == ()
    assert inspection.split_hash


def test_every_accepted_kind_is_counted(two_classes: Path, write: Write) -> None:
    for name, data in GOOD_FILES.values():
        write(f"dog/{name}", data)
    inspection = inspected(two_classes)
    assert inspection.unreadable == ()
    assert inspection.kinds.keys() == {"jpeg", "png", "gif", "bmp", "tiff", "webp", "avif"}
    assert {"L", "CMYK", "P", "RGBA", "I;16"} <= inspection.modes.keys()
    assert inspection.turned == 1


def test_every_bad_file_is_listed_with_its_reason(two_classes: Path, write: Write) -> None:
    for name, data, _ in BAD_FILES.values():
        write(f"cat/{name}", data)
    inspection = inspected(two_classes)
    reasons = {entry.key: entry.reason for entry in inspection.unreadable}
    assert reasons.keys() == {f"cat/{name}" for name, _, _ in BAD_FILES.values()}
    assert all(reason in reasons[f"cat/{name}"] for name, _, reason in BAD_FILES.values())
    assert (inspection.images, inspection.usable) == (20 + len(BAD_FILES), 20)
    assert sum(inspection.splits.values()) == 20


def test_sizes_and_shapes(tmp_path: Path, write: Write) -> None:
    for number, (width, height) in enumerate([(40, 20), (40, 20), (80, 20), (20, 40)]):
        write(f"{'ab'[number % 2]}/{number}.png", encoded(pixels(number, width=width, height=height), "PNG"))
    sizes = inspected(tmp_path).sizes
    assert sizes.distinct == 3
    assert (sizes.most_common[0].width, sizes.most_common[0].height, sizes.most_common[0].images) == (40, 20, 2)
    assert (sizes.width_px.least, sizes.width_px.median, sizes.width_px.greatest) == (20, 40, 80)
    assert (sizes.aspect.least, sizes.aspect.greatest) == (0.5, 4.0)
    assert sizes.total_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.png"))


def test_duplicates_within_and_across_classes(two_classes: Path) -> None:
    (two_classes / "cat" / "copy.jpg").write_bytes((two_classes / "cat" / "1.jpg").read_bytes())
    (two_classes / "dog" / "same.jpg").write_bytes((two_classes / "cat" / "2.jpg").read_bytes())
    inspection = inspected(two_classes)
    assert [(group.keys, group.conflicting) for group in inspection.duplicates] == [
        (("cat/1.jpg", "cat/copy.jpg"), False),
        (("cat/2.jpg", "dog/same.jpg"), True),
    ]
    assert codes(inspection) == ["conflicting_duplicate", "duplicate"]
    assert (inspection.images, inspection.usable) == (22, 20)


def test_duplicates_across_named_splits(tmp_path: Path, write: Write) -> None:
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            write(f"{split}/{name}/1.jpg")
    (tmp_path / "train" / "cat" / "2.jpg").write_bytes((tmp_path / "test" / "cat" / "1.jpg").read_bytes())
    inspection = inspected(tmp_path)
    assert inspection.given_splits == {"train": 3, "test": 2, "val": 2}
    assert inspection.splits == {"train": 2, "val": 2, "test": 2}
    assert inspection.duplicates[0].crosses_splits
    assert "duplicate_across_splits" in codes(inspection)


def test_one_class_only_is_shown_and_said(tmp_path: Path, write: Write) -> None:
    write("cat/1.jpg")
    write("cat/2.jpg")
    inspection = inspected(tmp_path)
    assert [(c.name, c.images) for c in inspection.classes] == [("cat", 2)]
    assert inspection.splits == {}
    assert codes(inspection) == ["cannot_split"]
    assert "at least two" in inspection.problems[0].message


def test_a_folder_too_high_up_is_hinted_at(tmp_path: Path, write: Write) -> None:
    write("archive/cat/1.jpg")
    write("archive/dog/1.jpg")
    assert "Are the folders below it (cat, dog) the classes?" in inspected(tmp_path).problems[0].message


def test_imbalance_is_said(two_classes: Path, write: Write) -> None:
    write("fish/1.jpg")
    write("fish/2.jpg")
    inspection = inspected(two_classes)
    assert inspection.imbalance == pytest.approx(5.0)
    said = next(problem for problem in inspection.problems if problem.code == "imbalanced")
    assert "'cat' has 5 times as many images as 'fish'" in said.message


def test_multi_label_and_groups(two_classes: Path) -> None:
    rows = "\n".join(f"cat/{n}.jpg,{'a|b' if n % 2 else ''},g{n // 5}" for n in range(10))
    table = two_classes / "t.csv"
    table.write_text("path,labels,group\n" + rows, encoding="utf-8")
    inspection = inspected(table)
    assert inspection.multi_label
    assert (inspection.without_class, inspection.groups) == (5, 2)
    assert [(c.name, c.images) for c in inspection.classes] == [("a", 5), ("b", 5)]


def test_nothing_readable_is_refused(tmp_path: Path, write: Write) -> None:
    write("cat/1.jpg", b"")
    with pytest.raises(BadData, match="none of 1 image can be used"):
        inspected(tmp_path)


def test_everything_goes_into_json_and_comes_back(two_classes: Path, write: Write) -> None:
    write("dog/bad.jpg", b"")
    write("dog/사진.jpg")
    inspection = inspected(two_classes)
    assert build(Inspection, to_plain(inspection), where="inspection") == inspection
