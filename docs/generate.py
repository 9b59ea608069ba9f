"""Writes the parts of docs/ that the code knows better: settings, commands, plug-ins. Run by `make docs`.

A page holds `<!-- generated: NAME -->` and `<!-- end -->`; what stands between them is replaced.
"""

import ast
import dataclasses
import inspect
import json
import re
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer

from andon import api
from andon.cli.app import build_app
from andon.core.settings import to_plain
from andon.formats import FORMATS
from andon.models.archs import ARCHS
from andon.runtime.engines import ENGINES
from andon.samples import SAMPLES
from andon.serve.protocols import PROTOCOLS
from andon.train.config import TrainConfig
from andon.train.recipes import RECIPES

FOLDER = Path(__file__).parent
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ATTRIBUTE = re.compile(r"    (\w+(?:, \w+)*): (.*)")
_PLAIN_KINDS = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}


def pages() -> dict[Path, str]:
    """Every page with generated parts, as it should read."""
    found: dict[Path, str] = {}
    for path in sorted(FOLDER.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _PART.search(text):
            found[path] = _PART.sub(lambda part: f"{part[1]}{PARTS[part[2]]()}\n{part[3]}", text)
    return found


def settings() -> Iterator[tuple[str, str, str, str]]:
    """Every `--set` key with its kind, default and meaning."""
    yield from _settings(TrainConfig, to_plain(TrainConfig()), "")


def _settings(record: type, defaults: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    hints = get_type_hints(record)
    meanings = _meanings(record)
    for name in (field.name for field in dataclasses.fields(record)):
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            yield from _settings(hint, defaults[name], f"{prefix}{name}.")  # type: ignore[arg-type]
        elif name not in meanings:
            raise ValueError(f"the docstring of {record.__name__} does not say what {name!r} means")
        else:
            yield f"{prefix}{name}", _kind(hint), json.dumps(defaults[name]), meanings[name].replace("None:", "`null`:")


def _meanings(record: type) -> dict[str, str]:
    """What the class's docstring says of each attribute."""
    lines = (inspect.getdoc(record) or "").partition("Attributes:\n")[2].splitlines()
    found: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        started = _ATTRIBUTE.fullmatch(line)
        if started:
            names = started[1].split(", ")
        for name in names:
            found[name] = f"{found[name]} {line.strip()}" if not started else started[2].strip()
    return found


def _kind(hint: Any) -> str:  # noqa: ANN401 - a type hint is any object
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is types.UnionType:
        kinds = [_kind(one) for one in arguments if one is not types.NoneType]
        return f"{', '.join(kinds)} or `null`"
    if origin is tuple:
        count = "any number" if arguments[-1] is Ellipsis else str(len(arguments))
        return f"list of {count}: {_kind(arguments[0])}"
    return _PLAIN_KINDS[hint]


def _settings_table() -> str:
    rows = [f"| `{key}` | {kind} | `{default}` | {meaning} |" for key, kind, default, meaning in settings()]
    return "\n".join(["| key | values | default | meaning |", "|---|---|---|---|", *rows])


def _presets_table() -> str:
    usual = dict(_flat(to_plain(TrainConfig())))
    rows = []
    for name, recipe in RECIPES.all().items():
        changed = [
            f"`{key}={json.dumps(value)}`"
            for key, value in _flat(to_plain(recipe.config()))
            if value != usual[key] and key != "preset"
        ]
        rows.append(f"| `{name}` | {recipe.title} | {'<br>'.join(changed) or 'nothing'} |")
    return "\n".join(["| preset | what it does | differs from the defaults in |", "|---|---|---|", *rows])


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _commands() -> str:
    group = typer.main.get_command(build_app())
    if not isinstance(group, typer.core.TyperGroup):
        raise TypeError(f"expected a group of commands, got {group!r}")
    return "\n\n".join(_command(name, command) for name, command in sorted(group.commands.items()))


def _command(name: str, command: Any) -> str:  # noqa: ANN401 - click's classes are typer's own affair
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(["andon", name, *(f"{p.name.upper()}{'...' if p.nargs == -1 else ''}" for p in arguments)])
    rows = [f"| {_spelt(p)} | {_default(p)} | {p.help or ''} |" for p in command.params if p.name != "help"]
    text = " ".join((command.help or "").split())
    return "\n".join([f"## `{usage}`", "", text, "", "| word | default | meaning |", "|---|---|---|", *rows])


def _spelt(parameter: Any) -> str:  # noqa: ANN401 - see `_command`
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _default(parameter: Any) -> str:  # noqa: ANN401 - see `_command`
    if parameter.required:
        return "needed"
    nothing = parameter.default is None or parameter.default is False or parameter.default == ()
    return "" if nothing else f"`{parameter.default}`"


def _plugins() -> str:
    kinds: dict[str, Mapping[str, object]] = {
        "format": FORMATS.all(),
        "arch family": ARCHS.all(),
        "engine": ENGINES.all(),
        "protocol": PROTOCOLS.all(),
        "preset": RECIPES.all(),
        "sample": SAMPLES.all(),
    }
    rows = []
    for what, records in kinds.items():
        for name, record in records.items():
            about = getattr(record, "description", "") or getattr(record, "title", "")
            rows.append(f"| {what} | `{name}` | {about} |")
    return "\n".join(["| kind | name | what it is |", "|---|---|---|", *rows])


def _api() -> str:
    """Every public function with its signature and docstring."""
    parts = []
    for name in api.__all__:
        text = _as_markdown(inspect.getdoc(getattr(api, name)) or "")
        parts.append(f"## `{name}`\n\n```python\n{signature(name)}\n```\n\n{text}")
    return "\n\n".join(parts)


def signature(name: str) -> str:
    """A public function's head as it stands in the source, the same under every version of Python."""
    source = inspect.getsource(getattr(api, name))
    (function,) = ast.parse(source).body
    if not isinstance(function, ast.FunctionDef):
        raise TypeError(f"{name} is not a function")
    head = "\n".join(source.splitlines()[: function.body[0].lineno - 1])
    return head.removesuffix(":")


def _as_markdown(docstring: str) -> str:
    """A Google docstring's sections as lists."""
    text = re.sub(r"^(Args|Raises|Returns):$", r"\1:\n", docstring, flags=re.MULTILINE)
    return re.sub(r"^    (\w+): ", r"* `\1`: ", text, flags=re.MULTILINE)


PARTS: dict[str, Callable[[], str]] = {
    "api": _api,
    "settings": _settings_table,
    "presets": _presets_table,
    "commands": _commands,
    "plugins": _plugins,
}


if __name__ == "__main__":
    for page, content in pages().items():
        if page.read_text(encoding="utf-8") != content:
            page.write_text(content, encoding="utf-8", newline="\n")
            print(f"{page.relative_to(FOLDER.parent)} is written anew")
