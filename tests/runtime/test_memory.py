"""Giving memory back."""

import platform
import sys

from andon.runtime.memory import release_memory


def test_glibc_is_asked_and_other_systems_are_left_alone() -> None:
    assert release_memory() == (sys.platform.startswith("linux") and platform.libc_ver()[0] == "glibc")
