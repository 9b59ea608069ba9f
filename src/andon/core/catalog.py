"""Plug-ins found by their file name.

A catalog is a package whose modules each bind one frozen record under an agreed name (`FORMAT`, `ARCH`, `ENGINE`,
`PROTOCOL`). Nothing is listed centrally and nothing is imported until it is asked for. Other distributions add theirs
through an entry point in the group named like the package (`andon.formats`, …).
"""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Generic, TypeVar

from andon.errors import BadConfig, InternalError, did_you_mean

Plugin = TypeVar("Plugin")


class Catalog(Generic[Plugin]):
    """The plug-ins of one kind.

    Args:
        package: the package whose modules are the plug-ins, and the entry-point group of foreign ones.
        attribute: the name each module binds its record to.
        record: the record's type; a module that binds something else is our fault or the other distribution's.
        what: the kind in words, for messages ("format", "engine").
    """

    def __init__(self, package: str, attribute: str, record: type[Plugin], what: str) -> None:
        self.package = package
        self.attribute = attribute
        self.record = record
        self.what = what

    def names(self) -> tuple[str, ...]:
        """Every plug-in's name, sorted; nothing is imported."""
        return tuple(sorted({*_module_names(self.package), *_foreign(self.package)}))

    def get(self, name: str) -> Plugin:
        """The record of one plug-in.

        Raises:
            BadConfig: there is none of that name; the nearest ones are offered.
        """
        if name in _module_names(self.package):
            found = getattr(import_module(f"{self.package}.{name}"), self.attribute, None)
        elif name in _foreign(self.package):
            found = _foreign(self.package)[name].load()
        else:
            raise BadConfig([f"there is no {self.what} named {name!r}. {did_you_mean(name, self.names())}"])
        if not isinstance(found, self.record):
            raise InternalError(f"{self.package}.{name} does not bind {self.attribute} to a {self.record.__name__}")
        return found

    def all(self) -> dict[str, Plugin]:
        """Every plug-in by name, imported."""
        return {name: self.get(name) for name in self.names()}


@cache
def _module_names(package: str) -> frozenset[str]:
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise InternalError(f"{package} is not a package")
    return frozenset(
        m.name for m in iter_modules(spec.submodule_search_locations) if not m.ispkg and not m.name.startswith("_")
    )


@cache
def _foreign(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}
