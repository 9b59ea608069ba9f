"""Every engine that can be used here, by being in the catalog: right, deaf to its neighbours, and tidy."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.fixtures_bundle import SIZE_WH, TinyNet

from andon.core.image import PixelsHWC
from andon.errors import InternalError
from andon.runtime.engines import ENGINES, Engine, Session, SessionOptions


@pytest.fixture(params=ENGINES.names())
def engine(request: pytest.FixtureRequest) -> Engine:
    found = ENGINES.get(request.param)
    if (reason := found.available()) is not None:
        pytest.skip(reason)
    return found


def pictures(number: int, seed: int = 0) -> PixelsHWC:
    width, height = SIZE_WH
    return np.random.default_rng(seed).integers(0, 256, (number, height, width, 3), dtype=np.uint8)


@pytest.fixture
def session(engine: Engine) -> Session:
    return engine.open(TinyNet().onnx(), SessionOptions(lanes=2, threads=1))


def test_both_engines_of_the_base_installation_are_there() -> None:
    assert {name for name, engine in ENGINES.all().items() if engine.available() is None} >= {"onnxruntime", "openvino"}


@pytest.mark.parametrize("name", ENGINES.names())
def test_an_engine_is_named_like_its_file_and_says_what_it_is(name: str) -> None:
    engine = ENGINES.get(name)
    assert engine.name == name
    assert "f32" in engine.precisions
    reason = engine.available()
    assert "install" in reason if reason is not None else engine.version()


@pytest.mark.parametrize("number", [1, 2, 5])
def test_it_computes_what_numpy_computes_for_any_number_of_images(session: Session, number: int) -> None:
    for batch in (pictures(number), pictures(1)):  # and for one again after several
        # bf16, which OpenVINO takes by itself where the CPU has it, would be wrong in the third digit.
        np.testing.assert_allclose(session.run(batch)["logits"], TinyNet().logits(batch), rtol=0, atol=2e-6)


def test_views_and_read_only_arrays_are_taken_as_they_are(session: Session) -> None:
    batch = pictures(4)[::-2]
    batch.flags.writeable = False
    np.testing.assert_allclose(session.run(batch)["logits"], TinyNet().logits(batch), rtol=0, atol=2e-6)


def test_answers_belong_to_the_caller(engine: Engine) -> None:
    session = engine.open(TinyNet().onnx(), SessionOptions(lanes=1))
    first = session.run(pictures(1, seed=1))["logits"]
    kept = first.copy()
    for seed in range(2, 6):
        session.run(pictures(1, seed=seed))
    np.testing.assert_array_equal(first, kept)
    first[:] = 0  # writing into it disturbs nobody
    session.close()
    np.testing.assert_array_equal(first, 0)


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_many_callers_at_once_get_their_own_answers(engine: Engine, lanes: int) -> None:
    session = engine.open(TinyNet().onnx(), SessionOptions(lanes=lanes))
    batches = [pictures(1 + seed % 3, seed=seed) for seed in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda batch: session.run(batch)["logits"], batches))
    for batch, logits in zip(batches, found, strict=True):
        np.testing.assert_allclose(logits, TinyNet().logits(batch), rtol=0, atol=2e-6)


def test_a_closed_session_says_so(session: Session) -> None:
    session.close()
    with pytest.raises(InternalError, match="closed"):
        session.run(pictures(1))
    session.close()


def test_closing_waits_for_calls_under_way(session: Session) -> None:
    refused: list[InternalError] = []
    answered = threading.Event()

    def call() -> None:
        try:
            while True:
                assert session.run(pictures(1))["logits"].shape == (1, 3)
                answered.set()
        except InternalError as error:
            refused.append(error)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    answered.wait(30)
    session.close()
    for caller in callers:
        caller.join(30)
    assert len(refused) == 4


def test_a_graph_that_is_none_is_an_error(engine: Engine) -> None:
    with pytest.raises(Exception, match=r"(?i)model|protobuf|onnx"):
        engine.open(b"this is no graph", SessionOptions())


def test_a_call_uses_no_more_threads_than_it_was_given(engine: Engine) -> None:
    if not os.path.isdir("/proc/self/task"):  # noqa: PTH112 - a system's own folder
        pytest.skip("this system does not list a process's threads")
    before = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - a system's own folder
    session = engine.open(TinyNet().onnx(), SessionOptions(lanes=2, threads=1))
    session.run(pictures(1))
    started = len(os.listdir("/proc/self/task")) - before  # noqa: PTH208 - a system's own folder
    session.close()
    assert started <= 6  # the streams and what the library keeps for itself; never one for each CPU of the host


FIRST_CALLS = """
import faulthandler, sys, threading
faulthandler.dump_traceback_later(60, exit=True)
from pathlib import Path
import numpy as np
from andon.runtime.bundle import open_bundle
from andon.runtime.engines import ENGINES, SessionOptions
bundle = open_bundle(Path(sys.argv[1]))
engine = ENGINES.get(sys.argv[2])
begin = threading.Barrier(6)

def first_calls(own):
    begin.wait()
    session = own or engine.open(bundle.model_bytes(), SessionOptions(lanes=2))
    session.run(np.zeros((1, 24, 32, 3), np.uint8))

shared = engine.open(bundle.model_bytes(), SessionOptions(lanes=4))
callers = [threading.Thread(target=first_calls, args=(own,)) for own in [shared] * 4 + [None] * 2]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
"""


@pytest.mark.parametrize("_attempt", range(3))
def test_the_very_first_calls_of_a_process_may_come_together(engine: Engine, tiny_bundle: Path, _attempt: int) -> None:
    """OpenVINO's binding stands still for ever when two threads set it up together: about one start in seven."""
    command = [sys.executable, "-c", FIRST_CALLS, str(tiny_bundle), engine.name]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stderr
