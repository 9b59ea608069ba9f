"""A PNG's header is read without decoding a pixel, wherever its EXIF stands."""

import struct
import zlib

import numpy as np
import pytest
from PIL.PngImagePlugin import PngImageFile
from tests.fixtures_images import encoded, pixels, png_bomb

from andon.core.image import decode_image, read_header
from andon.errors import BadImage


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


# Little-endian TIFF with one entry: orientation (0x0112, SHORT, 1 value) = 6, turned to the right.
TURNED = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
PLAIN = encoded(pixels(1), "PNG")


@pytest.mark.parametrize("behind", [33, len(PLAIN) - 12], ids=["before the pixels", "behind the pixels"])
def test_orientation_is_found(behind: int) -> None:
    data = PLAIN[:behind] + chunk(b"eXIf", TURNED) + PLAIN[behind:]
    assert read_header(data).size_wh == (30, 40)
    assert np.array_equal(decode_image(data), np.rot90(decode_image(PLAIN), -1))


@pytest.mark.parametrize("data", [PLAIN, png_bomb()], ids=["photo", "bomb"])
def test_the_header_is_read_without_any_pixel(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: PngImageFile) -> None:
        raise AssertionError(f"pixels of {self.size} were decoded")

    monkeypatch.setattr(PngImageFile, "load", load)
    assert read_header(data).orientation == 1


def test_a_bomb_is_refused_without_any_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: PngImageFile) -> None:
        raise AssertionError(f"pixels of {self.size} were decoded")

    monkeypatch.setattr(PngImageFile, "load", load)
    with pytest.raises(BadImage, match="50000×50000") as refused:
        decode_image(png_bomb())
    assert refused.value.fault == "too_large"


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\0\0\1\0", b"\0\0\0\0"])
def test_exif_that_lies_about_its_length_counts_as_none(length: bytes) -> None:
    behind = len(PLAIN) - 12
    assert read_header(PLAIN[:behind] + length + b"eXIf" + PLAIN[behind:]).orientation == 1
