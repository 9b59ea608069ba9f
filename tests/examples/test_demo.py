"""The demo's small parts; the whole of it runs in CI as `make demo SERVE=0`."""

import hashlib
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from andon.core.settings import with_settings
from andon.samples import SAMPLES
from andon.train.config import TrainConfig
from examples import demo

ROOT = Path(__file__).resolve().parents[2]


def test_an_unknown_task_is_said_with_the_known_ones() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo", "--task", "semantics"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "no demo for the task 'semantics'; there is: classification" in done.stderr


@pytest.mark.parametrize("task", demo.DEMOS)
def test_its_settings_exist(task: str) -> None:
    shown = demo.DEMOS[task]
    assert shown.sample.replace("-", "_") in SAMPLES.names()
    words = shown.training
    assignments = [value for flag, value in pairwise(words) if flag == "--set"]
    assert with_settings(TrainConfig(), assignments) != TrainConfig()
    assert words[words.index("--weights") + 1] == "none"  # it works with no network


def test_commands_are_printed_as_they_are_typed() -> None:
    words = ("train", Path("demo") / "a b", "--set", 'data.good_classes=["good"]')
    assert demo.as_typed(words) == """andon train 'demo/a b' --set 'data.good_classes=["good"]'"""
    assert demo.python(words)[1:] == ["-m", "andon", "train", str(Path("demo/a b")), "--set", words[-1]]


def test_the_photo_shown_is_of_the_test_split_and_has_a_defect(tmp_path: Path) -> None:
    assignment = {}
    for name, split in (("good/a", "test"), ("pitting/b", "train"), ("pitting/c", "test"), ("scratches/d", "test")):
        path = tmp_path / "images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        assignment[hashlib.sha256(name.encode()).hexdigest()] = split
    (tmp_path / "split.json").write_text(json.dumps({"assignment": assignment}), encoding="utf-8")
    assert demo.unseen_photo(tmp_path, tmp_path).name == "c.jpg"


def test_a_command_that_fails_stops_the_demo_with_its_code(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(demo.Stopped) as stopped:
        demo.andon("inspect", tmp_path / "missing")
    assert stopped.value.code == 2
    assert "ended with exit code 2, so the demo stops here" in capfd.readouterr().err
