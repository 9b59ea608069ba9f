"""The page's words: every language says everything, and says it of the same things."""

import json
import re
from pathlib import Path

import pytest

from andon import errors
from andon.serve import page

FOLDER = Path(page.__file__).parent
ENGLISH: dict[str, str] = json.loads((FOLDER / "messages/en.json").read_text(encoding="utf-8"))
SCRIPT = (FOLDER / "page.js").read_text(encoding="utf-8")
HTML = (FOLDER / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["ko", "zh-TW"])
def test_a_language_has_the_same_keys_and_places_as_english(language: str) -> None:
    spoken: dict[str, str] = json.loads((FOLDER / f"messages/{language}.json").read_text(encoding="utf-8"))
    assert spoken.keys() == ENGLISH.keys()
    for key, text in spoken.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", ENGLISH[key])), key


def test_every_key_the_page_uses_exists_and_every_key_is_used() -> None:
    used = set(re.findall(r'data-(?:text|label)="(\w+)"', HTML)) | set(re.findall(r'say\("(\w+)"', SCRIPT))
    computed = {key for key in ENGLISH if key.startswith(("tally_", "error_", "fact_"))} | {
        "waiting",
        "looking",
        "busy",
    }
    assert used <= ENGLISH.keys()
    assert ENGLISH.keys() - computed <= used


def test_the_usual_refusals_have_plain_words() -> None:
    for fault in ("unsupported", "broken", "too_large"):
        assert f"error_{errors.BadImage('x', fault=fault).code}" in ENGLISH


def test_the_script_never_makes_markup_of_texts() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", SCRIPT)
