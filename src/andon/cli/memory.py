"""How much memory there is, as each system tells it."""

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryFacts:
    """Memory in bytes.

    Attributes:
        total: all of it, or the container's limit where that is less.
        available: what a new program can have.
        limited_by: the end of a sentence naming the limit, or nothing.
    """

    total: int
    available: int
    limited_by: str = ""


def memory_facts() -> MemoryFacts | None:
    """The memory this process may use, or None where the system does not say."""
    if sys.platform == "win32":
        return _windows()
    facts = _linux() or _posix()
    if facts is None:
        return None
    limit = _number(Path("/sys/fs/cgroup/memory.max")) or _number(Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
    if limit is None or limit >= facts.total:
        return facts
    used = _number(Path("/sys/fs/cgroup/memory.current")) or 0
    return MemoryFacts(
        total=limit, available=max(0, min(facts.available, limit - used)), limited_by=" (the container's limit)"
    )


def _linux() -> MemoryFacts | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return MemoryFacts(total=kib["MemTotal"] * 1024, available=kib["MemAvailable"] * 1024)
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _posix() -> MemoryFacts | None:
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
    return MemoryFacts(total=total, available=total)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


class _WindowsMemory(ctypes.Structure):
    """`MEMORYSTATUSEX` of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("total", "available", "page_total", "page_available")),
        *((name, ctypes.c_uint64) for name in ("virtual_total", "virtual_available", "extended_available")),
    )


def _windows() -> MemoryFacts | None:
    status = _WindowsMemory()
    status.length = ctypes.sizeof(status)
    windll = getattr(ctypes, "windll", None)
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return MemoryFacts(total=status.total, available=status.available)
