import shutil
from pathlib import Path

from andon.core.manifest import DatasetStamp
from andon.datasets import content_hashes, dataset_stamp, open_dataset, split_dataset, split_records


def stamped(root: Path) -> DatasetStamp:
    dataset = open_dataset(root)
    hashes = content_hashes(dataset)
    table = split_dataset(dataset, hashes, seed=0)
    return dataset_stamp(dataset, hashes, table, split_records(dataset, hashes, table))


def test_renamed_files_in_another_folder_are_the_same_data(two_classes: Path) -> None:
    first = stamped(two_classes)
    other = two_classes.parent / (two_classes.name + " moved")
    for number, path in enumerate(sorted(two_classes.rglob("*.jpg"), reverse=True)):
        target = other / path.parent.name / f"{number:03d}.jpeg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    second = stamped(other)
    assert (first.hash, first.split_hash, first.images) == (second.hash, second.split_hash, second.images)
    assert first.name == two_classes.name
    assert sum(first.images.values()) == 20


def test_another_label_or_image_is_other_data(two_classes: Path) -> None:
    first = stamped(two_classes)
    (two_classes / "cat" / "3.jpg").rename(two_classes / "dog" / "33.jpg")
    moved = stamped(two_classes)
    assert moved.hash != first.hash
    (two_classes / "dog" / "33.jpg").unlink()
    assert stamped(two_classes).hash not in {first.hash, moved.hash}
