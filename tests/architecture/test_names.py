"""Names that say nothing are not given, and every package is one."""

import json
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "andon"
SAY_NOTHING = frozenset({"utils", "util", "common", "helpers", "helper", "misc", "base", "shared", "stuff", "lib"})


def modules() -> list[Path]:
    found = [path for folder in ("src", "bench", "examples", "tests") for path in (ROOT / folder).rglob("*.py")]
    assert len(found) > 100
    return found


def test_no_file_or_folder_is_called_by_a_name_that_says_nothing() -> None:
    wrong = [
        path.relative_to(ROOT).as_posix()
        for path in modules()
        if path.stem in SAY_NOTHING | {"core"} or SAY_NOTHING & set(path.relative_to(ROOT).parts)
    ]
    assert wrong == []


def test_every_source_folder_is_a_package() -> None:
    folders = {path.parent for path in SOURCE.rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_the_package_is_marked_as_typed() -> None:
    assert (SOURCE / "py.typed").is_file()


def test_every_dependency_is_pinned_once_by_name_and_version_alone() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    names = [line.partition("==")[0] for line in lines]
    assert all("==" in line and "/" not in line and "@" not in line for line in lines), lines
    assert sorted(set(names)) == sorted(names)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    bare = {one.partition(">")[0].partition(";")[0].strip() for one in wanted}
    assert sorted(bare - set(names)) == [], json.dumps(sorted(bare - set(names)))
