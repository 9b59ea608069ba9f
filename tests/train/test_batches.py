from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.core.image import InputSpec, prepare_image
from andon.core.records import ImageRecord
from andon.errors import BadData
from andon.train.batches import PixelStore, StepOrder

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 16), st.integers(0, 2**32 - 1))


@given(SIZES, st.integers(1, 4))
def test_every_image_once_an_epoch(sizes: tuple[int, int, int], epochs: int) -> None:
    count, batch_size, seed = sizes
    order = StepOrder(count, batch_size, seed)
    steps = -(-count * epochs // order.batch_size)
    seen = np.concatenate([order.batch(step) for step in range(steps)])
    for epoch in range(epochs):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))


@given(SIZES, st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_a_batch_depends_on_seed_and_step_alone(sizes: tuple[int, int, int], steps: list[int]) -> None:
    count, batch_size, seed = sizes
    asked_often = StepOrder(count, batch_size, seed)
    for step in steps:
        fresh = StepOrder(count, batch_size, seed).batch(step)
        assert fresh.shape == (min(count, batch_size),)
        assert np.array_equal(asked_often.batch(step), fresh)


def test_another_seed_and_another_epoch_are_another_order() -> None:
    orders = [tuple(StepOrder(50, 50, seed).batch(step)) for seed in range(3) for step in range(3)]
    assert len(set(orders)) == 9


def test_likely_images_come_more_often() -> None:
    weights = np.array([0.7, 0.1, 0.1, 0.1])
    order = StepOrder(4, 4, 0, weights)
    seen = np.concatenate([order.batch(step) for step in range(500)])
    assert np.bincount(seen, minlength=4) / len(seen) == pytest.approx(weights, abs=0.03)


def _records(folder: Path) -> list[ImageRecord]:
    return [ImageRecord(key=p.name, path=p) for p in sorted(folder.glob("red/*.jpg"))]


@pytest.mark.parametrize("memory_bytes", [0, 3 * 16 * 24 * 3, 2**30])
def test_pixels_are_those_of_the_bundle_whether_kept_or_not(photo_folder: Path, memory_bytes: int) -> None:
    spec = InputSpec(size_wh=(24, 16))
    records = _records(photo_folder)
    store = PixelStore(records, spec, memory_bytes)
    for _ in range(2):
        found = store.pixels([3, 0, 3])
        assert found.shape == (3, 16, 24, 3)
        for row, number in enumerate((3, 0, 3)):
            assert np.array_equal(found[row], prepare_image(records[number].path.read_bytes(), spec))
    assert len(store) == len(records)
    store.close()


def test_image_that_goes_away_is_said(tmp_path: Path) -> None:
    store = PixelStore([ImageRecord(key="a.jpg", path=tmp_path / "a.jpg")], InputSpec(size_wh=(8, 8)))
    with pytest.raises(BadData, match=r"a\.jpg could be read before and cannot now"):
        store.pixels([0])
    store.close()
