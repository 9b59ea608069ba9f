"""Files below a test's own folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixtures_images import encoded, pixels

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file below the test's folder: `write("cat/1.jpg", data)`; without data a small photo of its own."""
    written = []

    def write(name: str, data: bytes | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        written.append(path)
        path.write_bytes(encoded(pixels(len(written))) if data is None else data)
        return path

    return write


@pytest.fixture
def two_classes(write: Write, tmp_path: Path) -> Path:
    """Ten good photos of `cat` and ten of `dog`."""
    for number in range(10):
        write(f"cat/{number}.jpg")
        write(f"dog/{number}.jpg")
    return tmp_path
