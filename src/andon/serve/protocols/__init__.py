"""The ways to talk to the server: one file per protocol, found by its name."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI

from andon.core.catalog import Catalog
from andon.serve.service import Service


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """One way to talk to the server.

    Attributes:
        name: the file's name.
        title: for people.
        description: one sentence.
        mount: adds the protocol's routes to an application; everything it needs is in the service.
    """

    name: str
    title: str
    description: str
    mount: Callable[[FastAPI, Service], None]


PROTOCOLS = Catalog("andon.serve.protocols", "PROTOCOL", Protocol, "protocol")
