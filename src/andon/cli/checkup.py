"""What `andon doctor` looks at. Whatever could crash or hang is tried in a process of its own, with a time limit."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from andon.cli.memory import MemoryFacts, memory_facts
from andon.core.machine import available_cpus, cache_folder, cpu_name
from andon.runtime.engines import ENGINES

State = Literal["ok", "note", "warning", "fault"]

PORTS = {8892: "andon serve"}
_TRIAL_LIMIT_S = 90
_LITTLE_MEMORY_BYTES = 2 * 2**30
_LITTLE_SPACE_BYTES = 2**30
_TRAINING = ("torch", "torchvision", "timm", "lightning_fabric", "onnx", "safetensors", "sklearn")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: a stable name, such as `cpus`, `engine.openvino`, `port.8892`.
        state: `ok`; `note`: nothing to mend; `warning`: works, but less than it could; `fault`: does not work.
        message: what was found.
        fix: what to do about it, exactly; None where there is nothing to do.
    """

    check: str
    state: State
    message: str
    fix: str | None = None


def examine() -> list[Finding]:
    """Everything, in the order a person reads it; the slow parts run side by side."""
    checks: list[Callable[[], list[Finding]]] = [
        _versions,
        _text_encoding,
        _cpus,
        _memory,
        _engines,
        _training,
        _cache,
        _ports,
    ]
    with ThreadPoolExecutor(len(checks)) as pool:
        return [finding for found in pool.map(lambda check: check(), checks) for finding in found]


def _versions() -> list[Finding]:
    from platform import platform

    from andon import __version__

    python = ".".join(map(str, sys.version_info[:3]))
    return [Finding(check="versions", state="ok", message=f"Andon {__version__}, Python {python}, {platform()}")]


def _text_encoding() -> list[Finding]:
    encodings = {"file names": sys.getfilesystemencoding(), "output": sys.stdout.encoding or "unknown"}
    wrong = {what: name for what, name in encodings.items() if name.lower().replace("-", "") != "utf8"}
    if not wrong:
        return [Finding(check="encoding", state="ok", message="file names and output are UTF-8")]
    return [
        Finding(
            check="encoding",
            state="warning",
            message=", ".join(f"{what} are {name}" for what, name in wrong.items())
            + ": Korean or Chinese names may not survive",
            fix="set the environment variable PYTHONUTF8=1",
        )
    ]


def _cpus() -> list[Finding]:
    usable, there = available_cpus(), os.cpu_count() or 1
    message = f"{usable} CPUs may be used: {cpu_name()}"
    if usable < there:
        message += f" (the system has {there}; affinity or the container's quota allows {usable})"
    return [Finding(check="cpus", state="ok" if usable >= 2 else "note", message=message)]


def _memory() -> list[Finding]:
    facts: MemoryFacts | None = memory_facts()
    if facts is None:
        return [Finding(check="memory", state="note", message="this system does not say how much memory there is")]
    message = f"{facts.available / 2**30:.1f} GiB of {facts.total / 2**30:.1f} GiB memory are free{facts.limited_by}"
    if facts.available >= _LITTLE_MEMORY_BYTES:
        return [Finding(check="memory", state="ok", message=message)]
    fix = "close other programs, or train with a smaller batch: --set batch_size=8"
    return [Finding(check="memory", state="warning", message=message, fix=fix)]


def _engines() -> list[Finding]:
    found = [_engine(name) for name in ENGINES.names()]
    if not any(finding.state == "ok" for finding in found):
        message = "no engine works, so no bundle can be executed"
        found.append(Finding(check="engines", state="fault", message=message, fix=f"{_pip()} install onnxruntime"))
    return found


def _engine(name: str) -> Finding:
    check = f"engine.{name}"
    engine = ENGINES.get(name)
    if (reason := engine.available()) is not None:
        what, _, fix = reason.partition(": ")
        return Finding(check=check, state="note", message=f"{engine.title}: {what}", fix=fix or None)
    outcome = _in_own_process(["-m", "andon.cli.trial", "engine", name])
    if outcome.get("ok"):
        return Finding(check=check, state="ok", message=f"{engine.title} {engine.version()} executes a graph")
    message = f"{engine.title} {engine.version()} is installed and fails: {outcome['error']}"
    package = name.split("_", 1)[0]
    fix = f"{_pip()} install --force-reinstall {package}"
    return Finding(check=check, state="warning", message=message, fix=fix)


def _training() -> list[Finding]:
    missing = [name for name in _TRAINING if find_spec(name) is None]
    if missing:
        message = f"training is not installed ({', '.join(missing)} missing); predicting and serving do not need it"
        return [Finding(check="training", state="note", message=message, fix=f'{_pip()} install "andon[train]"')]
    outcome = _in_own_process(["-m", "andon.cli.trial", "torch"])
    if not outcome.get("ok"):
        message = f"torch is installed and fails: {outcome['error']}"
        fix = f"{_pip()} install --force-reinstall torch torchvision"
        return [Finding(check="training", state="warning", message=message, fix=fix)]
    installed = Finding(
        check="training", state="ok", message=f"torch {outcome['torch']}, torchvision {outcome['torchvision']}"
    )
    return [installed, _gpu(outcome)]


def _gpu(outcome: dict[str, Any]) -> Finding:
    if outcome["gpus"]:
        return Finding(check="gpu", state="ok", message="torch trains on " + ", ".join(outcome["gpus"]))
    if shutil.which("nvidia-smi") is None:
        return Finding(check="gpu", state="note", message="no NVIDIA GPU is found: training uses the CPU")
    if outcome["cuda"] is None:
        message = "there is an NVIDIA GPU, and torch is a build without CUDA"
        fix = (
            f"{_pip()} install --force-reinstall torch torchvision (on Windows: the CUDA build that pytorch.org names)"
        )
        return Finding(check="gpu", state="warning", message=message, fix=fix)
    message = f"there is an NVIDIA GPU, and torch (CUDA {outcome['cuda']}) cannot use it"
    return Finding(
        check="gpu", state="warning", message=message, fix="update the NVIDIA driver; nvidia-smi tells its version"
    )


def _cache() -> list[Finding]:
    folder = cache_folder()
    trial = folder / f".trial-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"")
        trial.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        message = (
            f"the cache folder {folder} cannot be written ({error.strerror or error}): engines are measured each time"
        )
        fix = "set the environment variable ANDON_CACHE to a folder that can be written"
        return [Finding(check="cache", state="warning", message=message, fix=fix)]
    message = f"the cache folder {folder} can be written, {free / 2**30:.1f} GiB are free"
    if free >= _LITTLE_SPACE_BYTES:
        return [Finding(check="cache", state="ok", message=message)]
    fix = f"make room on the disk of {folder}, or set ANDON_CACHE to a folder on another"
    return [Finding(check="cache", state="warning", message=message, fix=fix)]


def _ports() -> list[Finding]:
    return [_port(port, command) for port, command in PORTS.items()]


def _port(port: int, command: str) -> Finding:
    try:
        with socket.socket() as trial:
            if os.name == "posix":  # on Windows the option means something else
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(("127.0.0.1", port))
    except OSError as error:
        message = f"port {port} cannot be used ({error.strerror or error})"
        return Finding(
            check=f"port.{port}", state="warning", message=message, fix=f"{command} … --port 0 takes any free port"
        )
    return Finding(check=f"port.{port}", state="ok", message=f"port {port} is free for {command}")


def _in_own_process(arguments: Sequence[str]) -> dict[str, Any]:
    """What the trial printed as JSON: `ok` and facts, or `error`; a crash or a hang is an error like any other."""
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_TRIAL_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"ok": False, "error": f"it did not answer within {_TRIAL_LIMIT_S} s"}
    try:
        outcome = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        said = done.stderr.strip().splitlines()[-1:] or [_ended(done.returncode)]
        return {"ok": False, "error": said[0]}
    return outcome if isinstance(outcome, dict) else {"ok": False, "error": f"it answered {outcome!r}"}


def _ended(code: int) -> str:
    return f"it was ended by signal {-code}" if code < 0 else f"it ended with code {code}"


def _pip() -> str:
    """How to install into this very Python."""
    python = Path(sys.executable)
    return f"{python} -m pip"
