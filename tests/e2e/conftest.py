"""A real browser on a real server."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from tests.fixtures_bundle import write_tiny_bundle

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """`$CHROMIUM`, else the first browser of a usual name on the path."""
    if chosen := os.environ.get("CHROMIUM"):
        return chosen
    return next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; without one the test is skipped with the reason, or fails where `CI=true` promises one."""
    executable = find_chromium()
    if executable is None:
        reason = f"no browser: set $CHROMIUM or install one of {', '.join(CHROMIUM_NAMES)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def served_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`andon serve` in a process of its own, over a bundle where green is good and doubt is declared."""
    from andon.core.manifest import Decision

    folder = tmp_path_factory.mktemp("served")
    decision = Decision(default_threshold=0.5, not_sure_margin=0.2, good_classes=("green",))
    bundle = write_tiny_bundle(folder, name="colour-strips", decision=decision)
    environment = os.environ | {"ANDON_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "andon", "serve", str(bundle), "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    with process.stdout as told:
        yield json.loads(told.readline())["url"]
        process.terminate()
        assert process.wait(30) == 0


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: `$ANDON_SCREENSHOTS`, else a folder of the test run."""
    chosen = os.environ.get("ANDON_SCREENSHOTS")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
