"""Bundles are written whole or not at all, and the same bytes for the same content."""

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fixtures_bundle import tiny_content, tiny_manifest, write_tiny_bundle

from andon.core.manifest import ModelFile
from andon.errors import InternalError, UserError
from andon.export.bundle_writer import BundleContent, write_bundle
from andon.runtime.bundle import GoldenImage, open_bundle

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_written_is_what_opens(tmp_path: Path) -> None:
    content = tiny_content()
    path = tmp_path / "모델" / "tiny-1.andon"
    assert write_bundle(path, content) == hashlib.sha256(path.read_bytes()).hexdigest()
    opened = open_bundle(path)
    assert opened.manifest == content.manifest
    assert opened.golden == content.golden
    assert opened.metrics == content.metrics
    assert opened.licences == content.licences
    assert opened.model_bytes() == content.models["f32"]
    assert list(path.parent.iterdir()) == [path]


def test_the_same_content_is_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_bundle(tmp_path / "a.andon", tiny_content())
    metrics = tiny_content().metrics
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    monkeypatch.setenv("TZ", "Asia/Seoul")
    backwards = dict(reversed(list(metrics.items())))
    assert write_bundle(tmp_path / "b.andon", replace(tiny_content(), metrics=backwards)) == first
    assert write_bundle(tmp_path / "c.andon", tiny_content(version="2")) != first


def test_models_are_stored_as_they_are_so_that_they_can_be_mapped(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_tiny_bundle(tmp_path)) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.namelist()[0] == "manifest.json"


def test_two_precisions_may_share_a_file_or_have_their_own(tmp_path: Path) -> None:
    content = tiny_content()
    shared = replace(content.manifest.models["f32"], tolerance=0.05)
    own = ModelFile(file="model.int8.onnx", max_difference=0.01, parity_images=3, tolerance=0.05)
    manifest = replace(content.manifest, models={**content.manifest.models, "bf16": shared, "int8": own})
    graph = content.models["f32"]
    content = replace(content, manifest=manifest, models={"f32": graph, "bf16": graph, "int8": b"smaller"})
    write_bundle(tmp_path / "b.andon", content)
    opened = open_bundle(tmp_path / "b.andon")
    assert opened.model_bytes("bf16") == graph
    assert opened.model_bytes("int8") == b"smaller"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (replace(tiny_content(), golden=()), "would be refused: .*at least one"),
        (tiny_content(name="no/slashes"), "would be refused: .*the name 'no/slashes'"),
        (replace(tiny_content(), models={}), "names the precisions"),
        (replace(tiny_content(), metrics={"accuracy": float("nan")}), "finite plain data"),
        (replace(tiny_content(), licences={"code": object()}), "finite plain data"),
        (
            replace(tiny_content(), golden=(GoldenImage(name="a", data=b"", outputs=(1.0,)),)),
            "would be refused: .*3 outputs",
        ),
    ],
)
def test_what_would_not_open_is_not_written(tmp_path: Path, content: BundleContent, reason: str) -> None:
    with pytest.raises(InternalError, match=reason):
        write_bundle(tmp_path / "b.andon", content)
    assert list(tmp_path.iterdir()) == []


def test_one_file_cannot_be_two_models(tmp_path: Path) -> None:
    models = {"f32": tiny_manifest().models["f32"], "int8": tiny_manifest().models["f32"]}
    content = replace(tiny_content(models=models), models={"f32": b"a", "int8": b"b"})
    with pytest.raises(InternalError, match=r"two different models are to be model\.onnx"):
        write_bundle(tmp_path / "b.andon", content)


def test_a_golden_image_may_be_called_anything(tmp_path: Path) -> None:
    (golden, *_) = tiny_content().golden
    names = ["../../etc/passwd", "C:\\x.jpg", "사진.JPG", "a.jpg", "A.JPG", "no suffix", "strange.j\np", "x" * 300]
    images = tuple(replace(golden, name=name) for name in names)
    write_bundle(tmp_path / "b.andon", replace(tiny_content(), golden=images))
    assert [image.name for image in open_bundle(tmp_path / "b.andon").golden] == names


def test_a_folder_that_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*b\.andon: .*file is not a folder"):
        write_bundle(tmp_path / "file" / "b.andon", tiny_content())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes to run into")
def test_a_disk_that_fills_up_leaves_the_old_bundle_as_it_was(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path)
    before = path.read_bytes()
    code = (
        "import resource, sys; from pathlib import Path; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "from tests.fixtures_bundle import write_tiny_bundle; write_tiny_bundle(Path(sys.argv[1]), version='2')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "UserError: cannot write" in done.stderr
    assert "File too large" in done.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


_BIG = """
import sys
from dataclasses import replace
from pathlib import Path
from andon.export.bundle_writer import write_bundle
from tests.fixtures_bundle import tiny_content
write_bundle(Path(sys.argv[1]), replace(tiny_content(), models={"f32": bytes(400_000_000)}))
"""


def test_a_writer_that_is_killed_leaves_no_half_bundle(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path)
    before = path.read_bytes()
    writer = subprocess.Popen([sys.executable, "-c", _BIG, str(path)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (left := [p for p in tmp_path.glob(".*.tmp") if p.stat().st_size > 1000]):
        assert writer.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    writer.kill()
    writer.wait()
    assert path.read_bytes() == before  # what stood there stands there still
    assert left[0].exists()

    write_bundle(path, tiny_content(version="2"))  # somebody may still be writing what is this young
    assert left[0].exists()
    os.utime(left[0], (0, 0))
    write_bundle(path, tiny_content(version="3"))
    assert list(tmp_path.iterdir()) == [path]


def test_tidying_up_touches_nothing_else(tmp_path: Path) -> None:
    others = [tmp_path / name for name in (".tiny-12.andon.0a1b.tmp", "tiny-1.andon.tmp", ".other.tmp")]
    for other in others:
        other.touch()
        os.utime(other, (0, 0))
    write_tiny_bundle(tmp_path)
    assert all(other.exists() for other in others)
