"""Lending a few things to many threads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from andon.errors import InternalError
from andon.runtime.lanes import Lanes


def test_no_thing_is_lent_to_two_at_once() -> None:
    lanes = Lanes(["a", "b"])
    lent: list[str] = []

    def use(_: int) -> None:
        with lanes.borrow() as thing:
            assert thing not in lent
            lent.append(thing)
            time.sleep(0.0005)
            lent.remove(thing)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(200)))
    assert lent == []


def test_a_thing_comes_back_after_an_error() -> None:
    lanes = Lanes(["only"])
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), lanes.borrow():
            _ = 1 / 0
    with lanes.borrow() as thing:
        assert thing == "only"


def test_closing_wakes_those_who_wait() -> None:
    lanes = Lanes(["only"])
    outcome: list[str] = []

    def wait() -> None:
        try:
            with lanes.borrow():
                outcome.append("lent")
        except InternalError:
            outcome.append("refused")

    with lanes.borrow():
        waiting = threading.Thread(target=wait)
        waiting.start()
        closing = threading.Thread(target=lanes.close)
        closing.start()
        waiting.join(10)
        assert outcome == ["refused"]
        assert closing.is_alive()  # it waits for what is lent
    closing.join(10)
    assert not closing.is_alive()
    lanes.close()  # twice is once
