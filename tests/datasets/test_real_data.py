"""The real images beside the checkout, opened and split as training does it."""

from collections import Counter
from pathlib import Path

import pytest

from andon.core.records import SPLITS
from andon.datasets import (
    content_hashes,
    inspect_dataset,
    open_dataset,
    split_dataset,
    split_records,
    usable_images,
)

pytestmark = pytest.mark.real


def test_waste_photos(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "trashnet_cgp")
    assert dataset.classes == ("glass", "metal", "plastic")
    assert len(dataset.images) == 1393
    hashes = content_hashes(dataset)
    usable, problems = usable_images(dataset, hashes)
    # Three pictures lie there twice, each time in two classes: six files cannot be trusted.
    assert len(usable.images) == 1387
    assert [problem.code for problem in problems] == ["conflicting_duplicate"]
    assert set(problems[0].keys) == {
        "glass/glass115.jpg",
        "metal/metal91.jpg",
        "glass/glass176.jpg",
        "plastic/plastic152.jpg",
        "glass/glass389.jpg",
        "plastic/plastic332.jpg",
    }
    parts = split_records(usable, hashes, split_dataset(usable, hashes, seed=0))
    for name, number in Counter(image.labels[0] for image in usable.images).items():
        for split, fraction in zip(SPLITS, (0.64, 0.16, 0.20), strict=True):
            assert abs(sum(image.labels[0] == name for image in parts[split]) - fraction * number) < 1


def test_steel_table(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "neu_det" / "labels.csv")
    assert dataset.problems == ()
    inspection = inspect_dataset(dataset)
    assert (inspection.images, inspection.usable) == (1800, 1800)
    assert {count.images for count in inspection.classes} == {300}
    assert inspection.splits == {"train": 1152, "val": 288, "test": 360}
    assert [problem.code for problem in inspection.problems] == ["duplicate"]
    assert inspection.problems[0].keys == ("IMAGES/patches_101.jpg", "IMAGES/patches_105.jpg")
