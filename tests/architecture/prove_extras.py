"""Proves that the base installation is enough to predict and serve: a fresh environment without torch, real commands.

Run by `make extras` and by CI; not a test of `make test`, because it installs packages.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ABSENT = ("torch", "torchvision", "timm", "lightning_fabric", "onnx", "sklearn", "safetensors", "pytest")


def main() -> None:
    """Makes the environment, runs the commands, raises at the first that answers otherwise."""
    with tempfile.TemporaryDirectory(prefix="andon-extras-") as name:
        folder = Path(name)
        bundle, photo = make_material(folder)
        python = install_base(folder)
        os.environ["ANDON_CACHE"] = str(folder / "cache")
        look(python)
        answers(python, bundle, photo)
        serves(python, bundle, photo)
        training_says_what_it_needs(python, folder)
    say("the base installation predicts and serves without torch")


def make_material(folder: Path) -> tuple[Path, Path]:
    """A bundle and a photo, made by the tests' own fixture in this environment."""
    sys.path.insert(0, str(ROOT))
    fixtures = importlib.import_module("tests.fixtures_bundle")
    bundle: Path = fixtures.write_tiny_bundle(folder)
    photo = folder / "photo.jpg"
    photo.write_bytes(fixtures.photo_bytes(fixtures.COLOURS["red"]))
    return bundle, photo


def install_base(folder: Path) -> Path:
    """A fresh environment with only the base package; gives its Python."""
    say("installing the base package into a fresh environment")
    environment = folder / "env"
    venv = [sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(environment)]
    subprocess.run(venv, check=True)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
    subprocess.run([*command, "--constraint", str(ROOT / "constraints.txt"), str(ROOT)], check=True)
    return python


def look(python: Path) -> None:
    """Nothing of the extra is there, and the command line answers all the same."""
    probe = f"import importlib.util as u; print([n for n in {ABSENT!r} if u.find_spec(n)])"
    present = subprocess.run([python, "-c", probe], check=True, capture_output=True, text=True).stdout.strip()
    expect(present == "[]", f"the base installation holds {present}")
    shown = andon(python, "--help")
    expect("predict" in shown.stdout and shown.returncode == 0, shown.stderr)
    doctor = andon(python, "doctor", "--json")
    findings = {finding["check"]: finding for finding in json.loads(doctor.stdout)["findings"]}
    expect(findings["training"]["state"] == "note", str(findings["training"]))
    expect("andon[train]" in findings["training"]["fix"], str(findings["training"]))
    expect(findings["engine.onnxruntime"]["state"] == "ok", str(findings["engine.onnxruntime"]))


def answers(python: Path, bundle: Path, photo: Path) -> None:
    """`andon predict` answers."""
    done = andon(python, "predict", bundle, photo, "--json")
    expect(done.returncode == 0, done.stderr)
    expect(json.loads(done.stdout)["predictions"][0]["label"] == "red", done.stdout)


def serves(python: Path, bundle: Path, photo: Path) -> None:
    """`andon serve` answers over HTTP."""
    command = [str(python), "-m", "andon", "serve", str(bundle), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = json.loads(process.stdout.readline() if process.stdout else "{}")["url"]
            request = urllib.request.Request(f"{url}/predict", data=photo.read_bytes())
            with urllib.request.urlopen(request, timeout=30) as answer:
                found = json.load(answer)
            with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": "text/html"})) as page:
                expect(b"<html" in page.read(), "the page is not in the installation")
        finally:
            process.terminate()
    expect(found["predictions"][0]["label"] == "red", str(found))
    expect(process.returncode == 0 or os.name == "nt", f"the server ended with {process.returncode}")


def training_says_what_it_needs(python: Path, folder: Path) -> None:
    """`andon train` names the command to install with, exits 2 and leaves nothing behind."""
    run = folder / "run"
    done = andon(python, "train", folder, "--out", run, "--json")
    expect(done.returncode == 2, f"exit {done.returncode}: {done.stderr}")
    expect('pip install "andon[train]"' in json.loads(done.stdout)["error"], done.stdout)
    expect(not run.exists(), "a run was begun that cannot be finished")


def andon(python: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """One command of the fresh environment."""
    say("andon " + " ".join(Path(word).name for word in words))
    return subprocess.run(
        [str(python), "-m", "andon", *map(str, words)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=180,
    )


def expect(true: bool, otherwise: str) -> None:
    """Ends the proof with the reason."""
    if not true:
        sys.exit(f"extras: {otherwise}")


def say(message: str) -> None:
    """A line for whoever watches."""
    sys.stderr.write(f"extras: {message}\n")


if __name__ == "__main__":
    main()
