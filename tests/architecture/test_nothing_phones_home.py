"""The whole way, from drawn photos to an answer over HTTP, with every way out of the machine shut and written down.

Each command runs as a process of its own with a `sitecustomize` that refuses and records every connection and every
name looked up, unless it is this machine. Processes that the commands start inherit it.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

SITECUSTOMIZE = """
import os, socket, sys

HERE = {"127.0.0.1", "::1", "localhost", "", "0.0.0.0", "::", "None"}

def record(event, arguments):
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        address = arguments[1]
        target = address[0] if isinstance(address, tuple) else ""
        if not (isinstance(address, tuple) and len(address) >= 2):
            return
    elif event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}:
        target = arguments[0].decode() if isinstance(arguments[0], bytes) else str(arguments[0])
    elif event == "urllib.Request":
        target = arguments[0].split("//", 1)[-1].split("/", 1)[0].split(":", 1)[0]
    else:
        return
    if str(target) not in HERE:
        with open(os.environ["ANDON_TEST_ATTEMPTS"], "a", encoding="utf-8") as file:
            file.write(f"{sys.argv}: {event} {target}\\n")
        raise OSError(f"the network is off: {event} {target}")

sys.addaudithook(record)
"""


@pytest.fixture
def shut(tmp_path: Path) -> dict[str, str]:
    """The environment of the commands; what they tried stands in `tmp_path/attempts`."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    inherited = os.environ.get("PYTHONPATH")
    home = tmp_path / "home"
    home.mkdir()
    return {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *([inherited] if inherited else [])]),
        "ANDON_TEST_ATTEMPTS": str(tmp_path / "attempts"),
        "HOME": str(home),  # no earlier run has told any library's telemetry yes or no
        "USERPROFILE": str(home),
    }


def andon(shut: dict[str, str], *words: str | Path, code: int = 0) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "andon", *map(str, words), "--json"],
        env=shut,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=240,
    )
    assert done.returncode == code, (words, done.stderr)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_recorder_refuses_and_records(shut: dict[str, str], tmp_path: Path) -> None:
    """Without this the test below could not fail."""
    probe = "import urllib.request as u\ntry: u.urlopen('http://andon.invalid/x')\nexcept OSError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", probe], env=shut, capture_output=True, text=True, check=True)
    assert "the network is off" in done.stdout
    assert "andon.invalid" in (tmp_path / "attempts").read_text(encoding="utf-8")


@pytest.mark.timeout(600)
def test_the_whole_way_asks_nobody(shut: dict[str, str], tmp_path: Path) -> None:
    data, run = tmp_path / "steel", tmp_path / "run"
    andon(shut, "samples", "steel-strips", data, "-n", "6", "--size", "64")
    assert andon(shut, "inspect", data)
    tiny = ("--set", "data.size_wh=[32,32]", "--set", "precision=f32", "--epochs", "1")
    trained = andon(shut, "train", data, "--out", run, "--weights", "none", "--arch", "resnet10t", *tiny)
    bundle = Path(str(trained["bundle"]))
    assert andon(shut, "evaluate", bundle, data, "--out", tmp_path / "report")["metrics"]
    photo = next((data / "images" / "scratches").glob("*.jpg"))
    assert andon(shut, "predict", bundle, photo)["success"] is True
    andon(shut, "doctor")
    assert ask_server(shut, bundle, photo)["success"] is True
    attempts = tmp_path / "attempts"
    assert not attempts.exists(), attempts.read_text(encoding="utf-8")


def test_without_weights_the_hub_is_the_only_thing_asked(shut: dict[str, str], tmp_path: Path) -> None:
    """Where weights are wanted and none are here, the hub is tried, and the message names the other choices."""
    data = tmp_path / "steel"
    andon(shut, "samples", "steel-strips", data, "-n", "3", "--size", "64")
    found = andon(shut, "train", data, "--out", tmp_path / "run", "--arch", "resnet10t", code=2)
    assert "--weights none" in str(found["error"])
    attempts = (tmp_path / "attempts").read_text(encoding="utf-8").splitlines()
    assert {line.rsplit(" ", 1)[-1] for line in attempts} == {"huggingface.co"}


def ask_server(shut: dict[str, str], bundle: Path, photo: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "andon", "serve", str(bundle), "--port", "0", "--json"]
    with subprocess.Popen(command, env=shut, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        try:
            url = json.loads(process.stdout.readline())["url"]
            request = urllib.request.Request(f"{url}/predict", data=photo.read_bytes())
            with urllib.request.urlopen(request, timeout=60) as answer:
                found: dict[str, object] = json.load(answer)
            with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": "text/html"})) as page:
                assert b"<html" in page.read()
        finally:
            process.terminate()
    return found
