"""Giving memory back to the system."""

import ctypes
import sys


def release_memory() -> bool:
    """Asks glibc to return free heap pages to the system; elsewhere nothing is done. True where it was asked.

    Without it the heap of a process that reloads models grows to several times what is in use.
    """
    if not sys.platform.startswith("linux"):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is None:
        return False
    trim(0)
    return True
