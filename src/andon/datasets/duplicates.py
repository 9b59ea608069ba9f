"""Exact duplicates: images whose files have the same bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from andon.core.records import ImageRecord, SplitName


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateGroup:
    """Images with the same bytes.

    Attributes:
        sha256: of the bytes they share.
        keys: two or more, sorted.
        labels: each image's labels, in the order of `keys`.
        splits: the splits that the data itself names for them, sorted.
    """

    sha256: str
    keys: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    splits: tuple[SplitName, ...]

    @property
    def conflicting(self) -> bool:
        """Whether the same picture carries different labels, one of which must be wrong."""
        return len({frozenset(labels) for labels in self.labels}) > 1

    @property
    def crosses_splits(self) -> bool:
        """Whether the data puts the same picture in two splits."""
        return len(self.splits) > 1

    def described(self) -> str:
        """The images with their labels: `a/1.jpg (a) = b/7.jpg (b)`."""
        pairs = zip(self.keys, self.labels, strict=True)
        return " = ".join(f"{key} ({', '.join(labels) or 'no class'})" for key, labels in pairs)


def find_duplicates(images: Iterable[ImageRecord], hashes: Mapping[str, str]) -> tuple[DuplicateGroup, ...]:
    """The groups of images with the same bytes, by their first key; images without a hash are passed over."""
    by_hash: dict[str, list[ImageRecord]] = {}
    for image in images:
        if image.key in hashes:
            by_hash.setdefault(hashes[image.key], []).append(image)
    groups = [_group(sha256, same) for sha256, same in by_hash.items() if len(same) > 1]
    return tuple(sorted(groups, key=lambda group: group.keys))


def _group(sha256: str, same: list[ImageRecord]) -> DuplicateGroup:
    ordered = sorted(same, key=lambda image: image.key)
    return DuplicateGroup(
        sha256=sha256,
        keys=tuple(image.key for image in ordered),
        labels=tuple(image.labels for image in ordered),
        splits=tuple(sorted({image.split for image in same if image.split is not None})),
    )
