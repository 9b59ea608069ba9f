"""What runs online never imports torch: each package's modules are imported in a fresh process that then looks."""

import configparser
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchvision", "lightning_fabric", "lightning", "timm", "ray")
MAY_HAVE_TORCH = frozenset({"models", "train", "export"})
CONTRACTS = configparser.ConfigParser()
CONTRACTS.read(ROOT / ".importlinter", encoding="utf-8")

# Sibling modules are imported by name as a plug-in catalog would, so that string imports are seen as well.
IMPORT_ALL = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
names = [m.name for m in pkgutil.walk_packages(getattr(package, "__path__", ()), package.__name__ + ".")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(json.dumps({"modules": len(names) + 1, "loaded": sorted({m.partition(".")[0] for m in sys.modules})}))
"""


def rooms() -> list[str]:
    """Every package and module directly in `andon`."""
    found = (ROOT / "src" / "andon").iterdir()
    return sorted(p.stem for p in found if (p.is_dir() and (p / "__init__.py").is_file()) or p.suffix == ".py")


def online_rooms() -> list[str]:
    return [name for name in rooms() if name not in MAY_HAVE_TORCH and not name.startswith("__")]


@pytest.mark.parametrize("room", online_rooms())
def test_importing_every_module_loads_nothing_heavy(room: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, f"andon.{room}"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["modules"] >= 1
    assert sorted(set(HEAVY) & set(found["loaded"])) == []


def test_importing_andon_does_nothing() -> None:
    """No module beyond the standard library, no thread, no handler, no warning filter, no variable, no file."""
    probe = """
import importlib.metadata, json, logging, os, sys, threading, warnings
state = lambda: [threading.active_count(), len(logging.root.handlers), str(warnings.filters), dict(os.environ)]
before, known = state(), set(sys.modules)
writes = []
def record(event, arguments):
    if event in ("socket.connect", "subprocess.Popen") or (event == "open" and "r" not in str(arguments[1])):
        writes.append(event)
sys.addaudithook(record)
import andon
news = {name.partition(".")[0] for name in set(sys.modules) - known} - sys.stdlib_module_names
print(json.dumps({"same": state() == before, "news": sorted(news), "writes": writes, "version": andon.__version__}))
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", probe], capture_output=True, text=True, encoding="utf-8", check=True, timeout=60
    )
    found = json.loads(done.stdout)
    assert found["same"] is True
    assert found["news"] == ["andon"]
    assert found["writes"] == []
    assert found["version"]


def test_the_contract_forbids_torch_in_every_online_room() -> None:
    contract = CONTRACTS["importlinter:contract:no-torch-online"]
    named = {line.removeprefix("andon.") for line in contract["source_modules"].split()}
    # The command line and the API are above training, which they import inside functions; the test above holds them.
    assert named == set(online_rooms()) - {"api", "cli", "errors"}
    assert set(contract["forbidden_modules"].split()) == set(HEAVY)


def test_the_layers_name_every_room() -> None:
    contract = CONTRACTS["importlinter:contract:layers"]
    layers = [line.strip() for line in contract["layers"].splitlines() if line.strip()]
    named = {name.strip() for line in layers for name in line.split("|")}
    there = {name.strip("()") for name in named if not name.startswith("(")}
    assert there == set(rooms()) - {"__init__"}
    planned = {name.strip("()") for name in named if name.startswith("(")}
    assert not planned & set(rooms()), "a room that exists is written without brackets"
    assert contract["exhaustive"] == "True"
