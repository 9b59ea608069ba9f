"""Consoles of an old code page, the way a Windows machine may still have them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixtures_bundle import COLOURS, photo_bytes

NAME = "é 한글 漢字 😀.jpg"
WORDS = ([sys.executable, "-m", "andon"], [str(Path(sys.executable).with_name("andon"))])


def say(words: list[str], *, encoding: str) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    return subprocess.run(words, capture_output=True, check=False, env=environment, timeout=120)


@pytest.mark.parametrize("encoding", ["cp1252", "cp949"])
def test_a_letter_the_console_lacks_is_escaped(encoding: str, tiny_bundle: Path, tmp_path: Path) -> None:
    photo = tmp_path / NAME
    photo.write_bytes(photo_bytes(COLOURS["red"]))
    done = say([sys.executable, "-m", "andon", "predict", str(tiny_bundle), str(photo)], encoding=encoding)
    assert done.returncode == 0, done.stderr.decode(encoding)
    assert "red" in done.stdout.decode(encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_json_loses_nothing(encoding: str, tiny_bundle: Path, tmp_path: Path) -> None:
    photo = tmp_path / NAME
    photo.write_bytes(photo_bytes(COLOURS["red"]))
    done = say([sys.executable, "-m", "andon", "predict", str(tiny_bundle), str(photo), "--json"], encoding=encoding)
    assert json.loads(done.stdout.decode(encoding))["path"] == str(photo)


def test_an_error_is_shown_as_well(tmp_path: Path) -> None:
    missing = str(tmp_path / "없음.andon")
    done = say([sys.executable, "-m", "andon", "serve", missing, "--port", "0", "--json"], encoding="ascii")
    assert done.returncode == 2
    assert "없음" in json.loads(done.stdout.decode("ascii"))["error"]
    assert b"cannot be read" in done.stderr


@pytest.mark.parametrize("words", WORDS, ids=["python -m andon", "andon"])
def test_both_ways_to_call_it(words: list[str]) -> None:
    version = say([*words, "--version"], encoding="utf-8")
    assert version.returncode == 0
    assert version.stdout.strip()
    unknown = say([*words, "no-such-command"], encoding="utf-8")
    assert unknown.returncode == 2
    assert b"no-such-command" in unknown.stderr
