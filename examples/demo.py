"""From nothing to a served model on this machine: `python -m examples.demo [--task classification] [--no-serve]`.

Draws sample photos, looks at them, trains from nothing (no network is needed), asks the bundle about one photo it has
never seen, and serves it. Everything it does is an `andon` command, printed before it runs, so that each step can be
repeated by hand. What it makes lies in `demo/`.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("demo")
PORT = 8892


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What is shown for one task.

    Attributes:
        sample: the sample dataset, as `andon samples` calls it.
        drawing: further words of `andon samples`.
        training: further words of `andon train`.
    """

    sample: str
    drawing: tuple[str, ...]
    training: tuple[str, ...]


DEMOS = {
    "classification": Demo(
        sample="steel-strips",
        drawing=("--images-per-class", "100", "--size", "200"),
        training=(
            *("--task", "classification", "--weights", "none", "--arch", "resnet10t", "--epochs", "16"),
            *("--set", "batch_size=16", "--set", "data.size_wh=[112,112]"),
            *("--set", 'data.good_classes=["good"]', "--set", "optimiser.learning_rate=0.004"),
            *("--set", "augment.strength=light", "--set", "augment.flip_vertical=true"),
        ),
    )
}


class Stopped(Exception):
    """A step failed and has said why; carries the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo and returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--task", default="classification", help=f"of: {', '.join(DEMOS)}")
    parser.add_argument("--no-serve", action="store_true", help="stop after one prediction over HTTP")
    given = parser.parse_args(arguments)
    if given.task not in DEMOS:
        print(f"demo: there is no demo for the task {given.task!r}; there is: {', '.join(DEMOS)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    try:
        bundle, photo = prepare(DEMOS[given.task])
        print(f"\nFrom nothing to a proven bundle in {time.monotonic() - began:.0f} s.")
        if given.no_serve:
            ask_once(bundle, photo)
            return 0
        step("Serve it. Open the page in a browser, drop photos on it; stop with Ctrl-C")
        print(f"  a photo to try: {photo}\n  or by hand:     {curl(f'http://127.0.0.1:{PORT}', photo)}")
        return serve(bundle)
    except Stopped as stopped:
        return stopped.code


def prepare(demo: Demo) -> tuple[Path, Path]:
    """Draws, inspects, trains and asks once; gives the bundle and the photo asked about."""
    data = draw(demo)
    step("Look at the data: what is in it, and what is wrong with it")
    andon("inspect", data)
    run = FOLDER / "run"
    if run.exists():
        print(f"\n(the run of an earlier demo in {run} is removed)")
        shutil.rmtree(run)
    step("Train from nothing, evaluate on photos kept apart, prove and package the model")
    andon("train", data, "--out", run, *demo.training)
    bundle = run / "model.andon"
    photo = unseen_photo(data, run)
    step(f"Ask the bundle about a photo that it has never seen; it was drawn as {photo.parent.name!r}")
    andon("predict", bundle, photo)
    return bundle, photo


def draw(demo: Demo) -> Path:
    """The sample's folder, drawn unless it is there already, whole and drawn alike."""
    data = FOLDER / demo.sample
    words: list[str | Path] = ["samples", demo.sample, data, *demo.drawing]
    mark = FOLDER / f".{demo.sample}-is-complete"
    if data.is_dir() and mark.is_file() and mark.read_text(encoding="utf-8") == as_typed(words):
        step(f"Draw a labelled sample dataset: {data} is there already")
        return data
    step("Draw a labelled sample dataset")
    mark.unlink(missing_ok=True)
    if data.exists():
        shutil.rmtree(data)
    andon(*words)
    mark.write_text(as_typed(words), encoding="utf-8")
    return data


def unseen_photo(data: Path, run: Path) -> Path:
    """The first photo of the test split that shows a defect, by the split that the run froze."""
    splits = json.loads((run / "split.json").read_text(encoding="utf-8"))["assignment"]
    for photo in sorted((data / "images").glob("*/*.jpg")):
        if photo.parent.name != "good" and splits.get(hashlib.sha256(photo.read_bytes()).hexdigest()) == "test":
            return photo
    raise FileNotFoundError(f"no photo of {data} is in the test split of {run}")


def ask_once(bundle: Path, photo: Path) -> None:
    """Serves the bundle on a free port, asks over HTTP once, prints the answer, stops."""
    step("Serve it, ask once over HTTP, stop")
    with served(bundle) as url:
        print(f"$ {curl(url, photo)}")
        request = urllib.request.Request(f"{url}/predict", data=photo.read_bytes())  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
            print(json.dumps(json.load(answer), indent=1, ensure_ascii=False))
    print("\nDone. To keep it running: make demo")


@contextmanager
def served(bundle: Path) -> Iterator[str]:
    """`andon serve` in a process of its own; gives the URL."""
    words = ("serve", bundle, "--port", "0", "--json")
    print(f"$ {as_typed(words)}")
    with subprocess.Popen(python(words), stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        ready = process.stdout.readline() if process.stdout else ""
        if not ready:
            raise Stopped(process.wait())
        try:
            yield json.loads(ready)["url"]
        finally:
            process.terminate()


def serve(bundle: Path) -> int:
    """`andon serve` until Ctrl-C; the terminal sends that to the server as well, which then finishes and ends."""
    words = ("serve", bundle, "--port", str(PORT))
    print(f"$ {as_typed(words)}", flush=True)
    with subprocess.Popen(python(words)) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def andon(*words: str | Path) -> None:
    """Prints and runs one command."""
    print(f"$ {as_typed(words)}", flush=True)
    code = subprocess.run(python(words), check=False).returncode
    if code:
        print(f"demo: the command above ended with exit code {code}, so the demo stops here", file=sys.stderr)
        raise Stopped(code)


def python(words: Sequence[str | Path]) -> list[str]:
    """The command by this very Python, so that it runs whether or not `andon` is on the path."""
    return [sys.executable, "-m", "andon", *map(str, words)]


def as_typed(words: Sequence[str | Path]) -> str:
    """The command as it is typed into a shell."""
    return shlex.join(["andon", *(w.as_posix() if isinstance(w, Path) else w for w in words)])


def curl(url: str, photo: Path) -> str:
    """The line that asks the server about a photo."""
    return shlex.join(["curl", "-F", f"image=@{photo.as_posix()}", f"{url}/predict"])


_steps: list[str] = []


def step(title: str) -> None:
    """Prints the next step's number and title."""
    _steps.append(title)
    print(f"\n{len(_steps)}. {title}", flush=True)


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[1])
    sys.exit(main())
