"""Engines: what executes a bundle's graph. Every module here is a plug-in binding `ENGINE`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from andon.core.catalog import Catalog
from andon.core.image import PixelsHWC

PixelsNHWC = PixelsHWC  # uint8 [N, H, W, 3], RGB
Outputs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionOptions:
    """How a graph is to be executed.

    Attributes:
        lanes: callers that are served at the same time; more than that wait for one another.
        threads: threads that work on one call. `lanes × threads` should not exceed the CPUs there are.
        precision: a name from the engine's `precisions`.
    """

    lanes: int = 1
    threads: int = 1
    precision: str = "f32"


class Session(Protocol):
    """A loaded graph. Any number of threads may call `run`; `lanes` of them are served at once, the others wait."""

    def run(self, batch_nhwc: PixelsNHWC) -> Outputs:
        """The graph's outputs by name for uint8 [N, H, W, 3]; the arrays belong to the caller."""

    def close(self) -> None:
        """Waits for calls under way and lets go of the memory; calling `run` afterwards is an `InternalError`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """A way to execute ONNX graphs.

    Attributes:
        name: the plug-in's name.
        title: the name people know, for messages.
        available: None where it can be used on this machine, else the reason why not and what to do.
        version: of the library behind it, told without importing it.
        precisions: what it can compute in, of `f32`, `bf16`, `int8`.
        open: loads a graph from its bytes. It raises what the library raises; `choice` turns that into a refusal.
    """

    name: str
    title: str
    available: Callable[[], str | None]
    version: Callable[[], str]
    precisions: tuple[str, ...]
    open: Callable[[bytes, SessionOptions], Session]


ENGINES: Catalog[Engine] = Catalog("andon.runtime.engines", "ENGINE", Engine, "engine")
