"""A zip from somebody else, read without trusting it.

The rules are those of the Zip Slip and zip-bomb literature: no name leads out of the archive, nothing is a link,
nothing occurs twice, and sizes, counts and ratios are capped before a byte is unpacked.
"""

import hashlib
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from andon.core.files import CHUNK_BYTES, sha256_file
from andon.errors import BadBundle

MAX_FILES = 1_000
MAX_TOTAL_BYTES = 8 * 2**30
MAX_RATIO = 200
RATIO_COUNTS_ABOVE_BYTES = 2**20
MAX_TEXT_BYTES = 64 * 2**20

_ZIP_MAGIC = b"PK\x03\x04"
_DRIVE = re.compile(r"[A-Za-z]:")
_ENCRYPTED = 0x1
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

# What zipfile raises on an archive that does not keep to the format.
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError)


class Archive:
    """An open zip whose every entry was found safe. Nothing is ever extracted to disk.

    Attributes:
        path: the zip.
        sizes: unpacked bytes of every file, by name.

    Raises:
        BadBundle: on construction: missing, not a zip, damaged, or unsafe.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = _opened(path)
        infos = self._zip.infolist()
        problems = [*_entry_problems(infos), *_size_problems(infos)]
        if problems:
            self._zip.close()
            raise BadBundle(f"{path} is refused: {problems[0]}")
        self.sizes: Mapping[str, int] = {info.filename: info.file_size for info in infos}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def read(self, name: str) -> bytes:
        """The whole of a small file (texts and golden images).

        Raises:
            BadBundle: it is damaged or larger than such a file can be.
        """
        if self.sizes[name] > MAX_TEXT_BYTES:
            raise BadBundle(
                f"{self.path} is refused: {name} has {self.sizes[name]} bytes, at most {MAX_TEXT_BYTES} are"
            )
        return self._read(name)

    def read_checked(self, name: str, sums: Mapping[str, str]) -> bytes:
        """The whole of a file of any size, its sum checked.

        Raises:
            BadBundle: it is damaged, or not what `sums` says.
        """
        if name not in self.sizes or name not in sums:
            raise BadBundle(f"{self.path} changed since it was opened: {name} is gone")
        data = self._read(name)
        self._compare(name, hashlib.sha256(data).hexdigest(), sums)
        return data

    def check(self, name: str, sums: Mapping[str, str]) -> None:
        """Checks a file's sum, reading it in pieces.

        Raises:
            BadBundle: it is damaged, or not what `sums` says.
        """
        digest = hashlib.sha256()
        try:
            with self._zip.open(name) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
        except (*_BROKEN_ZIP, OSError) as error:
            raise self._damaged(name, error) from error
        self._compare(name, digest.hexdigest(), sums)

    def own_sha256(self) -> str:
        """The SHA-256 of the zip itself; may be asked for in another thread while entries are read.

        Raises:
            BadBundle: it cannot be read any more.
        """
        try:
            return sha256_file(self.path)
        except OSError as error:
            raise BadBundle(f"{self.path} cannot be read: {error.strerror or error}") from error

    def _read(self, name: str) -> bytes:
        try:
            return self._zip.read(name)
        except (*_BROKEN_ZIP, OSError) as error:
            raise self._damaged(name, error) from error

    def _compare(self, name: str, found: str, sums: Mapping[str, str]) -> None:
        if found != sums[name]:
            raise BadBundle(f"{self.path} was tampered with: {name} does not have the SHA-256 that the bundle states")

    def _damaged(self, name: str, error: Exception) -> BadBundle:
        return BadBundle(f"{self.path} is damaged: {name} cannot be read ({error}); copy the bundle again")


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except IsADirectoryError as error:
        raise BadBundle(f"{path} is a folder; expected a bundle, a file NAME-VERSION.andon") from error
    except OSError as error:
        where = "is a folder" if path.is_dir() else f"cannot be read ({error.strerror or error})"
        raise BadBundle(f"{path} {where}; expected a bundle, a file NAME-VERSION.andon") from error
    if not start.startswith(_ZIP_MAGIC):
        came = f"begins with {start!r}" if start else "is empty (0 bytes)"
        raise BadBundle(f"{path} is not a bundle: a bundle is a zip, this file {came}")
    try:
        return zipfile.ZipFile(path)
    except (*_BROKEN_ZIP, OSError) as error:
        raise BadBundle(f"{path} is cut short or damaged ({error}); copy the bundle again") from error


def _entry_problems(infos: list[zipfile.ZipInfo]) -> list[str]:
    problems: list[str] = []
    seen: set[str] = set()
    for info in infos:
        name = info.orig_filename  # as written: zipfile cuts names at NUL, and turns backslashes on Windows
        if reason := _unsafe_name(name) or _unsafe_kind(info):
            problems.append(f"{name!r} {reason}")
        if name.casefold() in seen:
            problems.append(f"{name!r} occurs twice")
        seen.add(name.casefold())
    return problems


def _unsafe_name(name: str) -> str | None:
    if any(part in {"", ".", ".."} for part in name.split("/")) or "\\" in name or _DRIVE.match(name):
        return "is not a plain path inside the bundle (absolute, a folder, or leading out of it)"
    if any(ord(character) < 32 for character in name):
        return "has a control character in its name"
    return None


def _unsafe_kind(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in {0, stat.S_IFREG}:
        return "is a link or a special file; a bundle holds plain files only"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in _METHODS:
        return f"is packed by method {info.compress_type}; only stored and deflated are read"
    return None


def _size_problems(infos: list[zipfile.ZipInfo]) -> list[str]:
    if len(infos) > MAX_FILES:
        return [f"it holds {len(infos)} files; at most {MAX_FILES} are read"]
    total = sum(info.file_size for info in infos)
    if total > MAX_TOTAL_BYTES:
        return [f"it unpacks to {total / 2**30:.1f} GiB; at most {MAX_TOTAL_BYTES / 2**30:.0f} GiB are read"]
    return [
        f"{info.filename!r} unpacks to {info.file_size} bytes from {info.compress_size}, as a zip bomb does"
        for info in infos
        if info.file_size > max(RATIO_COUNTS_ABOVE_BYTES, MAX_RATIO * info.compress_size)
    ]
