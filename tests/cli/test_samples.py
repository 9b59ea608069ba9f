import json
from pathlib import Path

import pytest

from andon.cli.app import main


def test_draws_and_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "steel"
    assert main(["samples", "steel-strips", str(out), "-n", "2", "--size", "64"]) == 0
    text = capsys.readouterr().out
    assert "10 images of 64×64 pixels in 5 classes" in text
    assert f"andon inspect {out}" in text
    assert len(list(out.rglob("*.jpg"))) == len(list(out.rglob("*.png"))) == 10


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samples", "steel-strips", str(tmp_path), "-n", "1", "--size", "64", "--seed", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["images"], result["seed"], len(result["classes"])) == (5, 3, 5)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["steel-strip", "{out}"], "there is no sample named 'steel-strip'. Did you mean steel-strips?"),
        (["steel-strips", "{out}", "-n", "0"], "images per class: expected at least 1, got 0"),
        (["steel-strips", "{out}", "--size", "8"], "size: expected 64 to 2048 pixels, got 8"),
        (["steel-strips", "{out}", "--seed", "-1"], "seed: expected 0 or more, got -1"),
        (["steel-strips", "{full}"], "give a new or an empty folder"),
        (["steel-strips", "{full}/file"], "give a new or an empty folder"),
    ],
)
def test_refusals(arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine", encoding="utf-8")
    words = [word.format(out=tmp_path / "out", full=tmp_path / "full") for word in arguments]
    assert main(["samples", *words]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "full" / "file").read_text(encoding="utf-8") == "mine"
