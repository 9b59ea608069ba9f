"""Recipes: each other file here is a preset, found by its file name: a function that returns a complete config."""

from collections.abc import Callable
from dataclasses import dataclass

from andon.core.catalog import Catalog
from andon.train.config import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A preset.

    Attributes:
        title: what it is for, in a sentence.
        config: makes the config; changed afterwards by flags and `--set`.
    """

    title: str
    config: Callable[[], TrainConfig]


RECIPES = Catalog("andon.train.recipes", "RECIPE", Recipe, "preset")
