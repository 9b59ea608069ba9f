"""The public Python API: a changed signature is a deliberate act, seen in `api.txt`.

To accept a change: `python -m tests.architecture.test_api_is_frozen` writes the file anew; commit it with a word in
CHANGELOG.md.
"""

import inspect
import sys
from pathlib import Path

from docs.generate import signature

from andon import api

FROZEN = Path(__file__).with_name("api.txt")


def surface() -> str:
    return "".join(f"{signature(name)}\n" for name in api.__all__)


def test_signatures_are_frozen() -> None:
    assert surface() == FROZEN.read_text(encoding="utf-8"), __doc__


def test_what_is_public_is_listed_and_described() -> None:
    public = [
        name
        for name, found in vars(api).items()
        if inspect.isfunction(found) and found.__module__ == api.__name__ and not name.startswith("_")
    ]
    assert sorted(public) == sorted(api.__all__)
    assert all(inspect.getdoc(getattr(api, name)) for name in public)


if __name__ == "__main__":
    FROZEN.write_text(surface(), encoding="utf-8", newline="\n")
    sys.stdout.write(f"{FROZEN} is written anew\n")
