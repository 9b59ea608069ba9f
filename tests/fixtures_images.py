"""Image files of every kind a folder can hold, good and bad, made from nothing."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def pixels(seed: int, *, width: int = 40, height: int = 30) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A PNG of a few hundred bytes that claims to have 2.5 billion pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


# What → (file name, bytes, what its reason has to say).
BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("empty.jpg", b"", "the file is empty (0 bytes)"),
    "text": ("note.jpg", b"hello, this is no photo", "an unknown kind of file"),
    "pdf": ("paper.jpg", b"%PDF-1.7\n%binary", "a PDF document"),
    "web page": ("page.png", b"<!DOCTYPE html><html></html>", "a web page"),
    "heic": ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC photo"),
    "video": ("film.jpg", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "a video"),
    "truncated jpeg": ("half.jpg", encoded(pixels(1, width=300, height=200))[:4000], "the pixels cannot be decoded"),
    "jpeg header only": ("head.jpg", encoded(pixels(2))[:40], "header is broken"),
    "truncated png": ("half.png", encoded(pixels(3, width=90), "PNG")[:900], "the pixels cannot be decoded"),
    "png bomb": ("bomb.png", png_bomb(), "the image is 50000×50000, 2500 megapixels"),
    "32 bits": ("float.tif", encoded(Image.new("F", (4, 4)), "TIFF"), "32 bits a channel are not accepted"),
}


def sixteen_bit() -> Image.Image:
    return Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50)


def animated() -> bytes:
    return encoded(pixels(1), "GIF", save_all=True, append_images=[pixels(2), pixels(3)])


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(pixels(1), "JPEG", exif=exif)


# What → (file name, bytes).
GOOD_FILES: dict[str, tuple[str, bytes]] = {
    "grey": ("grey.jpg", encoded(pixels(1).convert("L"))),
    "grey with alpha": ("la.png", encoded(pixels(1).convert("LA"), "PNG")),
    "alpha": ("alpha.png", encoded(pixels(1).convert("RGBA"), "PNG")),
    "palette": ("palette.png", encoded(pixels(1).convert("P"), "PNG")),
    "bilevel": ("bit.png", encoded(pixels(1).convert("1"), "PNG")),
    "cmyk": ("cmyk.jpg", encoded(pixels(1).convert("CMYK"))),
    "16 bits png": ("sixteen.png", encoded(sixteen_bit(), "PNG")),
    "16 bits tiff": ("sixteen.tiff", encoded(sixteen_bit(), "TIFF")),
    "animated gif": ("moving.gif", animated()),
    "webp": ("photo.webp", encoded(pixels(1), "WEBP")),
    "bmp": ("photo.bmp", encoded(pixels(1), "BMP")),
    "tiff": ("photo.tif", encoded(pixels(1), "TIFF")),
    "avif": ("photo.avif", encoded(pixels(1), "AVIF")),
    "upper case": ("PHOTO.JPG", encoded(pixels(1))),
    "no suffix": ("photo", encoded(pixels(1))),
    "png called jpg": ("photo.jpg", encoded(pixels(1), "PNG")),
    "korean": ("한국어 사진.jpg", encoded(pixels(1))),
    "chinese": ("中文 照片.jpg", encoded(pixels(1))),
    "spaces": (" a  b .jpg", encoded(pixels(1))),
    "nested": ("2026/may/line 3/photo.jpg", encoded(pixels(1))),
    "turned": ("turned.jpg", turned(6)),
    "bytes after the end": ("trailing.jpg", encoded(pixels(1)) + b"\0" * 64),
}
