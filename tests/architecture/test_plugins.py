"""A plug-in is one file that binds one record, and is found by its file's name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import andon
from andon.cli.app import command_names
from andon.core.catalog import Catalog
from andon.formats import FORMATS
from andon.models.archs import ARCHS
from andon.runtime.engines import ENGINES
from andon.samples import SAMPLES
from andon.serve.protocols import PROTOCOLS
from andon.train.recipes import RECIPES

CATALOGS: tuple[Catalog[object], ...] = (FORMATS, ARCHS, ENGINES, PROTOCOLS, RECIPES, SAMPLES)  # type: ignore[assignment]
SOURCE = Path(andon.__file__).parent


def every_plugin() -> Iterator[tuple[Catalog[object], str]]:
    for catalog in CATALOGS:
        for name in catalog.names():
            yield catalog, name


def test_every_catalog_is_looked_at() -> None:
    """A catalog is made with `Catalog(`, and only the ones above are."""
    texts = {path: path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}
    made = [path for path, text in texts.items() if "= Catalog(" in text]
    assert len(made) == len(CATALOGS), [path.relative_to(SOURCE).as_posix() for path in made]


@pytest.mark.parametrize(("catalog", "name"), list(every_plugin()), ids=lambda value: getattr(value, "what", value))
def test_the_file_binds_its_record(catalog: Catalog[object], name: str) -> None:
    record = catalog.get(name)
    assert isinstance(record, catalog.record)
    assert getattr(record, "name", name) == name
    assert getattr(record, "title", "a title")


@pytest.mark.parametrize("catalog", CATALOGS, ids=lambda catalog: str(catalog.what))
def test_every_file_beside_it_is_a_plugin_or_marked_as_none(catalog: Catalog[object]) -> None:
    folder = SOURCE.joinpath(*catalog.package.split(".")[1:])
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert files
    assert files <= set(catalog.names())


def test_every_command_file_defines_its_command() -> None:
    for name in command_names():
        text = (SOURCE / "cli" / "commands" / f"{name}.py").read_text(encoding="utf-8")
        assert f"\ndef {name}(" in text
