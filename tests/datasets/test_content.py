import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixtures_images import BAD_FILES, GOOD_FILES, turned

from andon.core.records import ImageRecord
from andon.datasets import content_hashes, examine_images, open_dataset
from andon.datasets.content import examine_image

Write = Callable[..., Path]


class Counting:
    """A listener that counts."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.done = 0

    def start(self, what: str, total: int | None) -> None:
        assert what
        self.total = total

    def advance(self, steps: int = 1, note: str = "") -> None:
        assert not note
        self.done += steps

    def say(self, message: str) -> None:
        raise AssertionError(message)


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_bad_file_is_named_with_its_reason(write: Write, what: str) -> None:
    name, data, reason = BAD_FILES[what]
    facts = examine_image(ImageRecord(key=name, path=write(name, data)))
    assert facts.fault is not None
    assert reason in facts.fault


@pytest.mark.parametrize("what", GOOD_FILES)
def test_every_accepted_kind_passes(write: Write, what: str) -> None:
    name, data = GOOD_FILES[what]
    facts = examine_image(ImageRecord(key=name, path=write(name, data)))
    assert facts.fault is None
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.size_bytes == len(data)
    assert facts.header is not None
    assert facts.header.size_wh == ((30, 40) if what == "turned" else (40, 30))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_the_upright_one(write: Write, orientation: int) -> None:
    facts = examine_image(ImageRecord(key="x", path=write("x.jpg", turned(orientation))))
    assert facts.header is not None
    assert facts.header.size_wh == ((40, 30) if orientation < 5 else (30, 40))
    assert facts.header.orientation == orientation


def test_a_file_that_is_gone_is_a_fault_and_has_no_hash(two_classes: Path) -> None:
    dataset = open_dataset(two_classes)
    (two_classes / "cat" / "3.jpg").unlink()
    assert "cat/3.jpg" not in content_hashes(dataset)
    faults = {facts.key: facts.fault for facts in examine_images(dataset) if facts.fault}
    assert list(faults) == ["cat/3.jpg"]
    assert "cannot be read: No such file" in faults["cat/3.jpg"]


def test_hashes_are_of_the_bytes_and_progress_is_told(two_classes: Path) -> None:
    dataset, listener = open_dataset(two_classes), Counting()
    hashes = content_hashes(dataset, listener)
    assert hashes == {i.key: hashlib.sha256(i.path.read_bytes()).hexdigest() for i in dataset.images}
    assert (listener.total, listener.done) == (20, 20)


def test_facts_come_in_the_order_of_the_images(two_classes: Path) -> None:
    dataset, listener = open_dataset(two_classes), Counting()
    assert [facts.key for facts in examine_images(dataset, listener)] == [image.key for image in dataset.images]
    assert (listener.total, listener.done) == (20, 20)
