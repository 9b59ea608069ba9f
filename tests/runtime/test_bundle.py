"""Opening bundles: what is right opens, everything else is refused with the reason."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fixtures_bundle import CLASSES, TinyNet, tiny_content, write_tiny_bundle

from andon.errors import BadBundle
from andon.runtime.bundle import open_bundle

Files = dict[str, bytes]


def contents(bundle: Path) -> Files:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def seal(files: Files) -> Files:
    """The files with sums that fit them, as somebody who edits a bundle by hand and knows the format would do it."""
    covered = {name: data for name, data in files.items() if name != "SHA256SUMS"}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in covered.items())
    return covered | {"SHA256SUMS": sums.encode()}


def zipped(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def edited(
    source: Path, target: Path, edit: Callable[[dict[str, object]], object], file: str = "manifest.json"
) -> Path:
    """A well-formed bundle whose `file` was edited as JSON."""
    files = contents(source)
    value = json.loads(files[file])
    edit(value)
    return zipped(target, seal(files | {file: json.dumps(value).encode()}))


def test_a_bundle_says_what_it_holds(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    assert bundle.manifest.classes == CLASSES
    assert bundle.manifest.input.size_wh == (32, 24)
    assert bundle.metrics == {"accuracy": {"value": 1.0, "low": 0.9, "high": 1.0}}
    assert bundle.licences == {"code": "Apache-2.0", "weights": "none"}
    assert [image.name for image in bundle.golden] == [image.name for image in tiny_content().golden]
    assert [image.data for image in bundle.golden] == [image.data for image in tiny_content().golden]
    assert bundle.golden[0].outputs == pytest.approx(tiny_content().golden[0].outputs)
    assert bundle.model_bytes() == TinyNet().onnx()
    assert bundle.sha256 == hashlib.sha256(tiny_bundle.read_bytes()).hexdigest()


def test_a_precision_that_is_not_there_is_named_with_those_that_are(tiny_bundle: Path) -> None:
    with pytest.raises(BadBundle, match="'int8'; it has f32"):
        open_bundle(tiny_bundle).model_bytes("int8")


def test_a_bundle_replaced_after_opening_is_not_trusted(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path)
    bundle = open_bundle(path)
    files = contents(path)
    zipped(path, seal(files | {"model.onnx": files["model.onnx"] + b"\0"}))
    with pytest.raises(BadBundle, match=r"tampered with: model\.onnx"):
        bundle.model_bytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.7 hello", "not a bundle: a bundle is a zip, this file begins with b'%PDF-1.7'"),
        (b"", r"is empty \(0 bytes\)"),
        (b"PK\x03\x04 and nothing more", "cut short or damaged"),
    ],
)
def test_other_files_are_no_bundles(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "품목.andon"
    path.write_bytes(content)
    with pytest.raises(BadBundle, match=reason):
        open_bundle(path)


def test_a_folder_and_a_missing_path_are_no_bundles(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="is a folder; expected a bundle"):
        open_bundle(tmp_path)
    with pytest.raises(BadBundle, match="No such file"):
        open_bundle(tmp_path / "none.andon")


def test_some_other_zip_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match=r"a zip without manifest\.json"):
        open_bundle(zipped(tmp_path / "holiday.zip", {"beach.jpg": b"..."}))


@pytest.mark.parametrize(
    "name", ["manifest.json", "metrics.json", "licences.json", "golden/expected.json", "SHA256SUMS"]
)
def test_every_part_has_to_be_there(tiny_bundle: Path, tmp_path: Path, name: str) -> None:
    files = contents(tiny_bundle)
    del files[name]
    with pytest.raises(BadBundle, match=f"a zip without {name}"):
        open_bundle(zipped(tmp_path / "b.andon", files))


@pytest.mark.parametrize("name", ["model.onnx", "metrics.json", "golden/000.jpg", "licences.json"])
def test_tampering_is_named(tiny_bundle: Path, tmp_path: Path, name: str) -> None:
    files = contents(tiny_bundle)
    files[name] += b" "
    with pytest.raises(BadBundle, match=f"tampered with: {name}"):
        open_bundle(zipped(tmp_path / "b.andon", files))


def test_a_file_that_was_added_or_taken_away_is_named(tiny_bundle: Path, tmp_path: Path) -> None:
    files = contents(tiny_bundle)
    with pytest.raises(BadBundle, match=r"does not cover payload\.bin"):
        open_bundle(zipped(tmp_path / "more.andon", files | {"payload.bin": b"x"}))
    del files["golden/001.jpg"]
    with pytest.raises(BadBundle, match=r"names golden/001\.jpg, which is missing"):
        open_bundle(zipped(tmp_path / "less.andon", files))


@pytest.mark.parametrize("sums", [b"\xff\xfe", b"not a sum\n", b"0" * 64 + b"  a\n" + b"0" * 64 + b"  a\n"])
def test_sums_that_are_none_are_refused(tiny_bundle: Path, tmp_path: Path, sums: bytes) -> None:
    with pytest.raises(BadBundle, match="SHA256SUMS"):
        open_bundle(zipped(tmp_path / "b.andon", contents(tiny_bundle) | {"SHA256SUMS": sums}))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_bundle_cut_anywhere_is_refused(tiny_bundle: Path, tmp_path: Path, share: float) -> None:
    whole = tiny_bundle.read_bytes()
    cut = tmp_path / "cut.andon"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BadBundle):
        open_bundle(cut)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_is_refused_or_changes_nothing(tiny_bundle: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Some bits of a zip mean nothing (dates, comments); none that means something may pass."""
    flipped = bytearray(tiny_bundle.read_bytes())
    position = data.draw(st.integers(0, len(flipped) - 1))
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "flipped.andon"
    path.write_bytes(flipped)
    try:
        opened = open_bundle(path)
    except BadBundle:
        return
    right = open_bundle(tiny_bundle)
    assert (opened.manifest, opened.metrics, opened.golden) == (right.manifest, right.metrics, right.golden)
    assert opened.model_bytes() == right.model_bytes()


def test_a_newer_major_schema_says_to_update(tiny_bundle: Path, tmp_path: Path) -> None:
    newer = edited(tiny_bundle, tmp_path / "b.andon", lambda m: m.update(schema="2.0"))
    with pytest.raises(BadBundle, match=r"this bundle's schema 2\.0 is newer than the 1\.x .* update Andon"):
        open_bundle(newer)


def test_a_newer_minor_schema_opens_with_keys_we_do_not_know(tiny_bundle: Path, tmp_path: Path) -> None:
    newer = edited(
        tiny_bundle, tmp_path / "b.andon", lambda m: m.update(schema="1.7", calibration={"kind": "isotonic"})
    )
    assert open_bundle(newer).manifest.schema == "1.7"


def test_an_unknown_key_in_our_own_schema_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match=r"unknown key 'clases'\. Did you mean classes"):
        open_bundle(edited(tiny_bundle, tmp_path / "b.andon", lambda m: m.update(clases=["a"])))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 1}, 'should read like "1.0", not 1'),
        ({"schema": "0.9"}, "there never was a bundle schema 0.9"),
        ({"name": "../evil"}, "the name '../evil' should be"),
        ({"name": ".hidden"}, "without a leading dot"),
        ({"version": "1.2"}, "the version '1.2' should be digits"),
        ({"version": "\uff11"}, "should be digits"),
        ({"task": "juggling"}, "manifest.json.task: expected one of"),
        ({"classes": []}, "at least one name, each once"),
        ({"classes": ["red", "red", "blue"]}, "at least one name, each once"),
        ({"outputs": []}, "the outputs should be named"),
        ({"input": {"size_wh": [0, 24]}}, "not 0×24"),
        ({"input": {"size_wh": [32, 10**6]}}, "not 32×1000000"),
        ({"decision": {"thresholds": {"mauve": 0.5}}}, "names mauve, which are no classes"),
        ({"decision": {"good_classes": ["fine"]}}, "names fine"),
        ({"decision": {"temperature": 0}}, "temperature should be above 0"),
        ({"models": {}}, "a model of precision f32"),
        (
            {"models": {"f32": {"file": "../m", "max_difference": 0, "parity_images": 1, "tolerance": 1}}},
            r"the model '\.\./m' is missing",
        ),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(
    tiny_bundle: Path, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(BadBundle, match=reason):
        open_bundle(edited(tiny_bundle, tmp_path / "b.andon", lambda m: m.update(change)))


@pytest.mark.parametrize(
    "images",
    [
        [],
        "none",
        [{"name": "a", "file": "elsewhere.jpg", "outputs": [1, 2, 3]}],
        [{"name": "a", "file": "golden/000.jpg", "outputs": [1, 2]}],
        [{"name": "a", "file": "golden/000.jpg", "outputs": [1, 2, "3"]}],
        [{"name": "a", "file": "golden/000.jpg", "outputs": [1, 2, float("nan")]}],
        [{"file": "golden/000.jpg", "outputs": [1, 2, 3]}],
    ],
)
def test_golden_images_that_prove_nothing_are_refused(tiny_bundle: Path, tmp_path: Path, images: object) -> None:
    path = edited(tiny_bundle, tmp_path / "b.andon", lambda g: g.update(images=images), "golden/expected.json")
    with pytest.raises(BadBundle, match=r"golden/expected\.json"):
        open_bundle(path)


@pytest.mark.parametrize("text", [b"[1]", b"{", b"\xff", b"[" * 100_000])
def test_json_that_is_none_is_refused(tiny_bundle: Path, tmp_path: Path, text: bytes) -> None:
    with pytest.raises(BadBundle, match=r"manifest\.json"):
        open_bundle(zipped(tmp_path / "b.andon", seal(contents(tiny_bundle) | {"manifest.json": text})))
