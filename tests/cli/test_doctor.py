"""`andon doctor`: what is there, what is not, and the exact fix."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from andon.cli import checkup, trial
from andon.cli.app import main
from andon.cli.checkup import Finding, examine
from andon.cli.memory import memory_facts
from andon.runtime.engines import ENGINES

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing torch takes seconds; only its own test does it."""
    monkeypatch.setattr(checkup, "_training", list)


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


@pytest.mark.usefixtures("no_torch")
def test_it_looks_at_everything_a_bundle_needs() -> None:
    findings = by_name(examine())
    assert findings.keys() >= {"versions", "encoding", "cpus", "memory", "cache", "port.8892"}
    assert findings.keys() >= {f"engine.{name}" for name in ENGINES.names()}
    assert findings["engine.onnxruntime"].state == "ok"
    assert findings["engine.openvino"].state == "ok"
    assert findings["cache"].state == "ok"
    for finding in findings.values():
        assert finding.message
        assert finding.fix is None or finding.state != "ok"
        assert finding.fix is not None or finding.state in {"ok", "note"}  # what is wrong has a fix


@pytest.mark.usefixtures("no_torch")
def test_the_command_prints_findings_and_their_fixes(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_CACHE", str(Path(__file__) / "below a file"))
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "ok       onnxruntime (CPU)" in out
    assert "WARNING  the cache folder" in out
    assert "         → set the environment variable ANDON_CACHE" in out


@pytest.mark.usefixtures("no_torch")
def test_json_is_one_object_on_stdout(capsys: Capture) -> None:
    assert main(["doctor", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is True
    assert {"check", "state", "message", "fix"} == result["findings"][0].keys()


@pytest.mark.usefixtures("no_torch")
def test_no_engine_at_all_is_a_fault(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    broken = {"ok": False, "error": "it was ended by signal 4"}  # an instruction that the CPU does not have
    monkeypatch.setattr(checkup, "_in_own_process", lambda _: broken)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "is installed and fails: it was ended by signal 4" in out
    assert "FAULT    no engine works" in out
    assert "pip install onnxruntime" in out


def test_a_taken_port_is_named_with_the_way_round_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(checkup, "PORTS", {port: "andon serve"})
        (finding,) = checkup._ports()
    assert finding.state == "warning"
    assert f"port {port} cannot be used" in finding.message
    assert finding.fix == "andon serve … --port 0 takes any free port"


def test_missing_training_parts_are_a_note_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_TRAINING", ("torch_that_is_not_there",))
    (finding,) = checkup._training()
    assert finding.state == "note"
    assert "torch_that_is_not_there missing" in finding.message
    assert finding.fix is not None
    assert finding.fix.endswith('-m pip install "andon[train]"')


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-c", 'print(\'{"ok": true, "torch": "2"}\')'], {"ok": True, "torch": "2"}),
        (["-c", "raise SystemExit(3)"], {"ok": False, "error": "it ended with code 3"}),
        (["-c", "raise ImportError('libcuda.so.1')"], {"ok": False, "error": "ImportError: libcuda.so.1"}),
        (["-c", "print('[]')"], {"ok": False, "error": "it answered []"}),
        (["-c", "import time; time.sleep(60)"], {"ok": False, "error": "it did not answer within 1 s"}),
    ],
)
def test_a_crash_or_a_hang_is_an_answer_too(
    arguments: list[str], expected: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "_TRIAL_LIMIT_S", 1)
    assert checkup._in_own_process(arguments) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="signals end processes on POSIX systems only")
def test_a_process_ended_by_a_signal_is_named() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert checkup._in_own_process(["-c", code]) == {"ok": False, "error": "it was ended by signal 9"}


@pytest.mark.parametrize(
    ("cuda", "gpus", "smi", "state", "says"),
    [
        ("12.8", ["NVIDIA H200"], "/usr/bin/nvidia-smi", "ok", "trains on NVIDIA H200"),
        ("12.8", [], None, "note", "training uses the CPU"),
        ("12.8", [], "/usr/bin/nvidia-smi", "warning", "cannot use it"),
        (None, [], "/usr/bin/nvidia-smi", "warning", "a build without CUDA"),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_named(
    cuda: str | None, gpus: list[str], smi: str | None, state: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: smi)
    finding = checkup._gpu({"cuda": cuda, "gpus": gpus})
    assert finding.state == state
    assert says in finding.message
    assert (finding.fix is None) == (state != "warning")


def test_torch_is_tried_in_its_own_process() -> None:
    pytest.importorskip("torchvision", reason="the extra train is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "andon.cli.trial", "torch"], capture_output=True, text=True, timeout=120, check=True
    )
    outcome = json.loads(done.stdout)
    assert outcome["ok"], outcome
    assert isinstance(outcome["gpus"], list)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_an_engine_is_tried_on_a_real_graph(name: str) -> None:
    assert trial.try_engine(name) == {"ok": True}


def test_an_engine_that_is_not_there_is_an_outcome(capsys: Capture) -> None:
    trial.main(["engine", "steam"])
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["ok"] is False
    assert "no engine named 'steam'" in outcome["error"]


def test_the_doctor_needs_no_torch() -> None:
    code = (
        "import sys; from andon.cli.checkup import _engines, _cache, _cpus, _memory; _engines(), _cache(), _cpus(),"
        " _memory(); sys.exit(any(name in sys.modules for name in ('torch', 'onnxruntime', 'openvino')))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0


def test_memory_is_told_on_this_system() -> None:
    facts = memory_facts()
    assert facts is not None
    assert 0 < facts.available <= facts.total
