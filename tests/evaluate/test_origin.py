from pathlib import Path

import pytest

from andon.errors import BadData
from andon.evaluate import context_of, read_curves
from andon.runtime.bundle import open_bundle


def test_a_manifest_tells_where_the_model_came_from(tiny_bundle: Path) -> None:
    manifest = open_bundle(tiny_bundle).manifest
    context = context_of(manifest)
    assert (context.model_name, context.arch) == (manifest.name, manifest.arch)
    assert context.weights == manifest.weights
    assert context.parity is not None
    assert context.parity.tolerance == manifest.models["f32"].tolerance


def test_curves_are_read_and_a_cut_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1, "loss": 2.0}\n{"epoch": 2, "loss": 1.0}\n{"epoch": 3, "lo', encoding="utf-8")
    assert [row["epoch"] for row in read_curves(path)] == [1, 2]
    assert read_curves(tmp_path / "missing.jsonl") == ()


@pytest.mark.parametrize("text", ["nonsense\n{}\n", "[1]\n"])
def test_other_lines_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match="line 1: expected a JSON object"):
        read_curves(path)
