"""The wheel holds everything the installed product needs, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "andon"
LEFT_OUT = frozenset({"__pycache__"})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in the wheel, built without a network."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (file,) = out.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        return archive.namelist()


def test_it_holds_every_file_of_the_source(wheel: list[str]) -> None:
    files = [path for path in SOURCE.rglob("*") if path.is_file() and not LEFT_OUT & set(path.parts)]
    wanted = {f"andon/{path.relative_to(SOURCE).as_posix()}" for path in files}
    assert wanted - set(wheel) == set()
    assert {name for name in wheel if name.startswith("andon/")} - wanted == set()


@pytest.mark.parametrize(
    "name",
    [
        "andon/serve/page/index.html",
        "andon/serve/page/page.js",
        "andon/serve/page/page.css",
        "andon/serve/page/messages/en.json",
        "andon/serve/page/messages/ko.json",
        "andon/serve/page/messages/zh-TW.json",
        "andon/evaluate/page/page.css",
        "andon/py.typed",
    ],
)
def test_it_holds_the_pages_and_their_texts(name: str, wheel: list[str]) -> None:
    assert name in wheel


def test_it_holds_nothing_beside_the_package(wheel: list[str]) -> None:
    assert {name.partition("/")[0].partition("-")[0] for name in wheel} == {"andon"}
    assert any(name.endswith("/licenses/LICENSE") for name in wheel)
    assert any(name.endswith("/entry_points.txt") for name in wheel)
