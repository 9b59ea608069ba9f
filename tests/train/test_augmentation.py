from typing import Literal, get_args

import pytest
import torch

from andon.train.augmentation import STRENGTHS, Ranges, augment
from andon.train.config import AugmentConfig

Strength = Literal["none", "light", "medium", "strong"]
PIXELS = torch.randint(0, 256, (6, 20, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def _augmented(config: AugmentConfig, seed: int = 0, pixels: torch.Tensor = PIXELS) -> torch.Tensor:
    return augment(pixels, config, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("strength", get_args(Strength))
@pytest.mark.parametrize("vertical", [False, True])
def test_shape_range_and_seed(strength: Strength, vertical: bool) -> None:
    config = AugmentConfig(strength=strength, flip_vertical=vertical)
    found = _augmented(config)
    assert found.shape == PIXELS.shape
    assert found.dtype == torch.float32
    assert 0 <= float(found.min()) <= float(found.max()) <= 255
    assert torch.equal(found, _augmented(config))
    assert not torch.equal(found, _augmented(config, seed=1))


def test_strengths_are_those_of_the_config() -> None:
    assert STRENGTHS.keys() == set(get_args(Strength))


def test_none_changes_nothing() -> None:
    found = _augmented(AugmentConfig(strength="none", flip_horizontal=False))
    torch.testing.assert_close(found, PIXELS.float(), atol=0.01, rtol=0)


@pytest.mark.parametrize(("axis", "horizontal", "vertical"), [(2, True, False), (1, False, True)])
def test_flips_are_exact_and_happen_about_half_the_time(axis: int, horizontal: bool, vertical: bool) -> None:
    config = AugmentConfig(strength="none", flip_horizontal=horizontal, flip_vertical=vertical)
    many = PIXELS[:1].repeat(200, 1, 1, 1)
    found = _augmented(config, pixels=many)
    plain, mirrored = many[0].float(), many[0].flip(axis - 1).float()
    flipped = 0
    for image in found:
        is_mirrored = torch.allclose(image, mirrored, atol=0.01)
        assert is_mirrored or torch.allclose(image, plain, atol=0.01)
        flipped += is_mirrored
    assert 70 <= flipped <= 130


def test_stronger_is_further_away() -> None:
    away = [
        float((_augmented(AugmentConfig(strength=s, flip_horizontal=False)) - PIXELS.float()).abs().mean())
        for s in ("none", "light", "medium", "strong")
    ]
    assert away == sorted(away)
    assert away[0] < 0.01 < away[1]


def test_turning_keeps_circles_round_in_wide_photos() -> None:
    """A disc in the middle stays where it is and as large, whatever the photo's shape."""
    disc = torch.zeros(8, 32, 64, 3, dtype=torch.uint8)
    y, x = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(64) - 31.5, indexing="ij")
    disc[:, (x.square() + y.square()).sqrt() < 10] = 255
    from andon.train import augmentation

    turned = augmentation._move(
        disc.permute(0, 3, 1, 2).float(),
        augmentation.Ranges(turn_deg=40),
        AugmentConfig(flip_horizontal=False),
        torch.Generator().manual_seed(0),
    )
    assert float((turned - disc.permute(0, 3, 1, 2)).abs().mean()) < 3


@pytest.mark.parametrize(("horizontal", "vertical"), [(False, False), (True, False), (False, True), (True, True)])
def test_a_mirrored_photo_is_turned_and_not_sheared(
    horizontal: bool, vertical: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    grid_of = torch.nn.functional.affine_grid

    def keep(matrix: torch.Tensor, size: list[int], **settings: bool) -> torch.Tensor:
        seen.append(matrix)
        return grid_of(matrix, size, **settings)

    monkeypatch.setattr("andon.train.augmentation.functional.affine_grid", keep)
    monkeypatch.setitem(STRENGTHS, "strong", Ranges(turn_deg=30))
    square = torch.zeros((32, 16, 16, 3), dtype=torch.uint8)
    _augmented(AugmentConfig(strength="strong", flip_horizontal=horizontal, flip_vertical=vertical), pixels=square)
    x_axis, y_axis = seen[0][:, :, 0], seen[0][:, :, 1]
    torch.testing.assert_close((x_axis * y_axis).sum(1), torch.zeros(32), atol=1e-5, rtol=0)
