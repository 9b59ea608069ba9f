"""Arch families: each other file here is one, found by its file name.

A family names its networks without importing them and builds any of them as a `Backbone`: everything up to the pooled
embedding, without a head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from andon.core.catalog import Catalog
from andon.core.manifest import Normalisation
from andon.errors import BadConfig, did_you_mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Where a stretch of a network ends.

    Attributes:
        module: the dotted name of its last module.
        stride: input pixels per feature there, in each direction.
        channels: features at each place; 0 where that is not known.
    """

    module: str
    stride: int
    channels: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbone:
    """A network without its head.

    Attributes:
        module: normalised NCHW float → embedding [N, embedding_size].
        embedding_size: the length of the pooled embedding.
        stages: in forward order; the stride grows, or is the same throughout (transformers without a pyramid).
        head_prefixes: state-dict names that belong to the classifier of published weights, and so may stay unmatched.
        size_wh: the input size its published weights were trained at.
        fixed_size: whether it takes no other size.
        normalisation: of its published weights.
        hub: the name of its published weights, or None where there are none.
        licence: of those weights, as published.
    """

    module: nn.Module
    embedding_size: int
    stages: tuple[Stage, ...]
    head_prefixes: tuple[str, ...]
    size_wh: tuple[int, int]
    fixed_size: bool
    normalisation: Normalisation
    hub: str | None
    licence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRequest:
    """What to build: a network's name, the input size it is to take (None: its own), and its stochastic depth."""

    name: str
    size_wh: tuple[int, int] | None = None
    drop_path: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Arch:
    """One family of networks.

    Attributes:
        title: for people.
        names: the networks it can build; may import the library behind it.
        build: builds one with random weights.
        fetch: a network's published weights from the hub, keyed like `Backbone.module`; None without any.
    """

    title: str
    names: Callable[[], Sequence[str]]
    build: Callable[[BuildRequest], Backbone]
    fetch: Callable[[str], dict[str, object]] | None = None


ARCHS = Catalog("andon.models.archs", "ARCH", Arch, "arch family")


def find_arch(name: str) -> Arch:
    """The family that builds the network `name`.

    Raises:
        BadConfig: none does; the nearest names are offered.
    """
    known: list[str] = []
    for family in ARCHS.names():
        arch = ARCHS.get(family)
        names = arch.names()
        if name in names:
            return arch
        known.extend(names)
    raise BadConfig([f"there is no arch named {name!r}. {did_you_mean(name, known)}"])
