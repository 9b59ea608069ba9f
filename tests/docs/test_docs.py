"""The documentation is true: what is generated is fresh, what is named exists, what exists is named."""

import dataclasses
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest
from tests.fixtures_bundle import COLOURS, photo_bytes, write_tiny_bundle

from andon.cli.app import command_names
from andon.core.manifest import Decision
from andon.core.settings import build
from andon.formats import FORMATS
from andon.models.weights import Sidecar
from andon.serve.query import _KNOWN
from andon.train.config import TrainConfig
from docs import generate

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
CURL = re.compile(r"^(curl .*?)  # (\d{3})$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", generate.pages(), ids=lambda page: str(page.name))
def test_generated_parts_are_fresh(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == generate.pages()[page], "run: make docs"


def test_every_setting_is_listed() -> None:
    listed = set(re.findall(r"^\| `([\w.]+)` \|", text_of("docs/settings.md"), re.MULTILINE))
    assert set(_dotted(TrainConfig)) <= listed


def _dotted(record: type, prefix: str = "") -> Iterator[str]:
    """The keys by another way than the generator's."""
    for name, hint in get_type_hints(record).items():
        if dataclasses.is_dataclass(hint):
            yield from _dotted(hint, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            yield f"{prefix}{name}"


@pytest.mark.parametrize("name", command_names())
def test_every_command_has_its_heading(name: str) -> None:
    assert re.search(rf"^## `andon {name}\b", text_of("docs/commands.md"), re.MULTILINE)


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_is_described(name: str) -> None:
    assert re.search(rf"^## .*\(`{name}`\)$", text_of("docs/formats.md"), re.MULTILINE)


def test_the_sidecar_is_described_in_full_and_its_example_is_one() -> None:
    page = text_of("docs/offline.md")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == {field.name for field in dataclasses.fields(Sidecar)}
    example = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert example is not None
    assert build(Sidecar, json.loads(example[1]), where="the example").keys == "torchvision"


def test_every_query_parameter_is_described() -> None:
    page = text_of("docs/http-api.md")
    assert [name for name in _KNOWN if f"`{name}`" not in page] == []


def test_every_error_code_of_the_server_is_described() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/andon/serve").rglob("*.py"))
    codes = {*re.findall(r'code="(\w+)"', source), *re.findall(r'\.code = "(\w+)"', source)}
    assert len(codes) > 10
    page = text_of("docs/http-api.md")
    assert sorted(code for code in codes if f"`{code}`" not in page) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:[\w.]+/)+\w+\.(?:py|json|txt))`", page.read_text(encoding="utf-8")))
    examples = {name for name in named if "NAME" in name or name.startswith("RUN/")}
    places = (ROOT, ROOT / "src", ROOT / "src" / "andon")
    assert [name for name in named - examples if not any((place / name).is_file() for place in places)] == []


def test_every_page_is_reached_from_another() -> None:
    linked = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target
    }
    assert [page.name for page in DOCS.rglob("*.md") if page not in linked and page.name != "README.md"] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_andon_commands_in_examples_exist(page: Path) -> None:
    """Every `andon NAME --flag` in a code block or in a code span names a command and flags that there are."""
    text = page.read_text(encoding="utf-8")
    spans = [*re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL), *re.findall(r"`(andon [^`\n]+)`", text)]
    known = {name: _flags(name) for name in command_names()}
    for line in (line for span in spans for line in span.splitlines()):
        found = re.match(r"\s*(?:\$ )?andon ([a-z]+)(.*)", line)
        if found:
            assert found[1] in known, line
            words = found[2].partition(" #")[0]
            assert [flag for flag in re.findall(r"(?<=\s)--[a-z-]+", words) if flag not in known[found[1]]] == [], line


def _flags(name: str) -> set[str]:
    return {
        line.split()[1].partition("/")[0]
        for line in text_of("tests/cli/options.txt").splitlines()
        if line.startswith(f"{name}  ")
    } | {"--help"}


def test_every_file_of_a_bundle_is_described(tiny_bundle: Path) -> None:
    with zipfile.ZipFile(tiny_bundle) as archive:
        names = {name.partition("/")[0] + "/" * ("/" in name) for name in archive.namelist()}
    assert len(names) == 6
    assert [name for name in sorted(names) if f"\n| `{name}` |" not in text_of("docs/bundle.md")] == []


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server over a small bundle named as in the page, and a folder with the files its lines send."""
    folder = tmp_path_factory.mktemp("http-api")
    photo = photo_bytes(COLOURS["red"])
    (folder / "photo.jpg").write_bytes(photo)
    (folder / "cut.jpg").write_bytes(photo[: len(photo) // 3])
    (folder / "other.png").write_bytes(photo_bytes(COLOURS["blue"], kind="PNG"))
    (folder / "notes.pdf").write_bytes(b"%PDF-1.7\n")
    bundle = write_tiny_bundle(
        folder,
        name="steel-strips",
        classes=("scratches", "good", "pitting"),
        decision=Decision(good_classes=("good",)),
    )
    command = [sys.executable, "-m", "andon", "serve", str(bundle), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"], folder
        process.terminate()


@pytest.mark.parametrize(("line", "status"), CURL.findall((DOCS / "http-api.md").read_text(encoding="utf-8")))
def test_curl_lines_answer_as_written(line: str, status: str, served: tuple[str, Path]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    url, folder = served
    asked = shlex.split(line.replace("http://127.0.0.1:8892", url))
    said = subprocess.run(
        [*asked, "-sS", "-o", "answer", "-w", "%{http_code}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert said.stdout == status, said.stderr
    if "/predict" in line:
        answer = json.loads((folder / "answer").read_bytes())
        several = line.count("-F image=") > 1
        assert answer["success"] is (status == "200" and not several)
        assert answer["request_id"]


def test_the_answer_in_the_page_has_the_fields_of_a_real_one(served: tuple[str, Path]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    url, folder = served
    said = subprocess.run(
        ["curl", "-sS", "-F", "image=@photo.jpg", f"{url}/predict"], cwd=folder, capture_output=True, check=True
    )
    real = json.loads(said.stdout)
    page = text_of("docs/http-api.md")
    block = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert block is not None
    shown = json.loads(block[1])
    assert list(shown) == list(real)
    assert list(shown["timing_ms"]) == list(real["timing_ms"])
    assert [set(one) for one in shown["predictions"]] == [set(one) for one in real["predictions"]]
    assert [name for name in real if f"| `{name}` |" not in page and name != "success"] == []


def test_every_curl_line_says_its_status() -> None:
    blocks = re.findall(r"```bash\n(.*?)```", text_of("docs/http-api.md"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) > 15
    assert [line for line in lines if not CURL.fullmatch(line)] == []
