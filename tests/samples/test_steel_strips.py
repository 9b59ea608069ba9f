from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from andon.core.image import read_image
from andon.core.progress import Silent
from andon.datasets import inspect_dataset, open_dataset
from andon.errors import UserError
from andon.samples import SampleOptions, draw_sample
from andon.samples._drawing import filtered_noise, stamp
from andon.samples.steel_strips import DEFECTS, draw_image

SMALL = SampleOptions(images_per_class=3, size_px=96, seed=5)


def drawn(out: Path, options: SampleOptions = SMALL) -> dict[str, str]:
    """Every file's path and hash."""
    draw_sample("steel-strips", out, options, Silent())
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    assert drawn(tmp_path / "a") == drawn(tmp_path / "b")


def test_another_seed_draws_other_pictures(tmp_path: Path) -> None:
    first = drawn(tmp_path / "a")
    second = drawn(tmp_path / "b", SampleOptions(images_per_class=3, size_px=96, seed=6))
    photos = [name for name in first if name.endswith(".jpg")]
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in photos)


def test_a_larger_set_begins_with_the_smaller_one(tmp_path: Path) -> None:
    small = drawn(tmp_path / "a")
    large = drawn(tmp_path / "b", SampleOptions(images_per_class=5, size_px=96, seed=5))
    assert small.items() <= large.items()
    assert len(large) == 5 * 5 * 2


def test_the_layout_is_understood_as_classes(tmp_path: Path) -> None:
    drawn(tmp_path)
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("good", "inclusions", "patches", "pitting", "scratches")
    assert {image.key.split("/")[0] for image in dataset.images} == {"images"}
    inspection = inspect_dataset(dataset)
    assert (inspection.images, inspection.usable, inspection.duplicates) == (15, 15, ())
    assert {problem.code for problem in inspection.problems} <= {"class_not_in_split"}


def test_masks_stand_beside_their_photos(tmp_path: Path) -> None:
    drawn(tmp_path)
    for photo in (tmp_path / "images").rglob("*.jpg"):
        mask = read_image(tmp_path / "masks" / photo.parent.name / f"{photo.stem}.png")
        assert mask.shape == read_image(photo).shape == (96, 96, 3)
        values = set(np.unique(mask))
        assert values == ({0} if photo.parent.name == "good" else {0, 255})


@pytest.mark.parametrize("name", [name for name, defect in DEFECTS.items() if defect is not None])
def test_defects_are_where_their_masks_say(name: str) -> None:
    """Within the mask the picture departs from its surroundings clearly more than outside of it."""
    options = SampleOptions(size_px=128, seed=1)
    ratios = []
    for number in range(12):
        grey, mask = draw_image(name, number, options)
        assert 0.0005 < mask.mean() < 0.7
        away = np.abs(grey - np.median(grey[~mask]))
        ratios.append(away[mask].mean() / away[~mask].mean())
    assert np.median(ratios) > 1.5
    assert min(ratios) > 0.8


def test_good_strips_are_brushed_along_the_rolling_direction() -> None:
    for number in range(5):
        grey, mask = draw_image("good", number, SampleOptions(size_px=128))
        assert not mask.any()
        assert np.abs(np.diff(grey, axis=0)).mean() < np.abs(np.diff(grey, axis=1)).mean()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write"):
        draw_sample("steel_strips", tmp_path / "file" / "out", SMALL, Silent())


def test_noise_has_unit_deviation_and_the_grain_asked_for() -> None:
    noise = filtered_noise(np.random.default_rng(0), 128, grain_y_px=8.0, grain_x_px=0.5)
    assert noise.dtype == np.float32
    assert float(noise.mean()) == pytest.approx(0, abs=1e-3)
    assert float(noise.std()) == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(noise, axis=0)).mean() < 0.3 * np.abs(np.diff(noise, axis=1)).mean()


@pytest.mark.parametrize(("top", "left", "total"), [(2, 2, 9), (-1, -2, 2), (7, 7, 1), (-5, 0, 0), (8, 8, 0)])
def test_stamps_are_cut_at_the_edges(top: int, left: int, total: int) -> None:
    picture = np.zeros((8, 8), np.float32)
    stamp(picture, np.ones((3, 3), np.float32), top=top, left=left)
    assert picture.sum() == total
