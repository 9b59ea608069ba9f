"""Zips that were made to do harm."""

import stat
import warnings
import zipfile
from pathlib import Path

import pytest

from andon.errors import BadBundle
from andon.runtime import archive
from andon.runtime.archive import Archive


def zip_of(path: Path, *entries: tuple[zipfile.ZipInfo, bytes]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as made:
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of the duplicates that are wanted here
        for info, data in entries:
            made.writestr(info, data)
    return path


def entry(name: str, *, mode: int = stat.S_IFREG | 0o644, method: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    info.create_system = 3
    info.external_attr = mode << 16
    info.compress_type = method
    return info


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/etc/passwd",
        "C:evil",
        "c:/evil",
        "a\\..\\..\\evil",
        "\\\\server\\share",
        "./a",
        "a//b",
        "a/",
        "..",
        "a\nb",
    ],
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadBundle, match=r"plain path inside the bundle|control character"):
        Archive(zip_of(tmp_path / "slip.zip", (entry("good"), b"1"), (entry(name), b"2")))


def test_a_name_cut_at_a_nul_is_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "nul.zip", (entry("model.onnx?.txt"), b"1"))
    path.write_bytes(path.read_bytes().replace(b"model.onnx?", b"model.onnx\0"))
    with pytest.raises(BadBundle, match="control character"):
        Archive(path)


@pytest.mark.parametrize(
    "mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666, stat.S_IFIFO | 0o666, stat.S_IFDIR | 0o755]
)
def test_links_and_special_files_are_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(BadBundle, match="plain files only"):
        Archive(zip_of(tmp_path / "link.zip", (entry("link", mode=mode), b"/etc/passwd")))


@pytest.mark.parametrize("second", ["model.onnx", "MODEL.onnx"])
def test_a_name_that_occurs_twice_is_refused(tmp_path: Path, second: str) -> None:
    with pytest.raises(BadBundle, match="occurs twice"):
        Archive(zip_of(tmp_path / "twice.zip", (entry("model.onnx"), b"1"), (entry(second), b"2")))


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = zip_of(tmp_path / "bomb.zip", (entry("zeros", method=zipfile.ZIP_DEFLATED), bytes(50_000_000)))
    assert bomb.stat().st_size < 60_000
    with pytest.raises(BadBundle, match="as a zip bomb does"):
        Archive(bomb)


def test_a_size_that_is_a_lie_yields_no_more_than_it_says(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "lie.zip", (entry("zeros", method=zipfile.ZIP_DEFLATED), bytes(1_000_000)))
    path.write_bytes(path.read_bytes().replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with Archive(path) as opened, pytest.raises(BadBundle, match="damaged: zeros"):
        opened.read("zeros")


def test_too_many_files_and_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = zip_of(tmp_path / "many.zip", *[(entry(f"f{i}"), b"") for i in range(archive.MAX_FILES + 1)])
    with pytest.raises(BadBundle, match="1001 files; at most 1000"):
        Archive(many)
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 100)
    with pytest.raises(BadBundle, match="at most 0 GiB"):
        Archive(zip_of(tmp_path / "big.zip", (entry("a"), bytes(101))))


def test_a_text_of_gigabytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TEXT_BYTES", 10)
    with Archive(zip_of(tmp_path / "a.zip", (entry("a"), bytes(11)))) as opened, pytest.raises(BadBundle, match="11 b"):
        opened.read("a")


def test_encrypted_and_strangely_packed_files_are_refused(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "enc.zip", (entry("secret"), b"1"))
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1  # the encryption bit of the central directory
    path.write_bytes(raw)
    with pytest.raises(BadBundle, match="is encrypted"):
        Archive(path)
    with pytest.raises(BadBundle, match="packed by method 14"):
        Archive(zip_of(tmp_path / "lzma.zip", (entry("a", method=zipfile.ZIP_LZMA), b"1")))
