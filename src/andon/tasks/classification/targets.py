"""From class names to the numbers a loss or a metric needs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from andon.core.records import ImageRecord
from andon.errors import BadData


def class_indices(records: Sequence[ImageRecord], classes: Sequence[str]) -> NDArray[np.int64]:
    """The class of each record as its index in `classes`: int64 [N].

    Raises:
        BadData: a record does not carry exactly one class, or one that is not in `classes`.
    """
    index = {name: position for position, name in enumerate(classes)}
    found = np.empty(len(records), np.int64)
    for row, record in enumerate(records):
        if len(record.labels) != 1:
            raise BadData(f"{record.key}: expected exactly one class, got {len(record.labels)}")
        found[row] = _lookup(index, record.labels[0], record.key)
    return found


def label_matrix(records: Sequence[ImageRecord], classes: Sequence[str]) -> NDArray[np.float32]:
    """Which classes each record carries: float32 [N, C] of zeros and ones.

    Raises:
        BadData: a record carries a class that is not in `classes`.
    """
    index = {name: position for position, name in enumerate(classes)}
    matrix = np.zeros((len(records), len(classes)), np.float32)
    for row, record in enumerate(records):
        for label in record.labels:
            matrix[row, _lookup(index, label, record.key)] = 1.0
    return matrix


def _lookup(index: dict[str, int], label: str, key: str) -> int:
    if label not in index:
        raise BadData(f"{key}: its class {label!r} is not one of the model's classes: {', '.join(index)}")
    return index[label]
