"""HTML and SVG built so that text is always escaped: only `Html` passes as it is, and only `el` makes it."""

from collections.abc import Iterable
from html import escape

Attribute = str | float | bool | None

_VOID = frozenset({"meta", "img", "br", "hr", "link", "path", "rect", "line", "circle", "polyline"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def el(name: str, /, *children: str | None, **attributes: Attribute) -> Html:
    """The element `name`.

    Args:
        name: the element's name.
        children: markup, text (escaped), or None (left out).
        attributes: `cls` is `class`, a trailing `_` is dropped and other `_` become `-`; None and False are left out,
            True stands without a value.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{written}>" if name in {"meta", "img", "br", "hr", "link"} else f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[str | None]) -> Html:
    """Markup and escaped text, one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts if part is not None))


def named(name: str) -> Html:
    """A name that people gave: kept apart from the text's direction, and in the glyphs of its own script."""
    return el("bdi", name, lang=language_of(name))


def language_of(name: str) -> str | None:
    """The language whose script a name is written in, where it is one that stands upright in columns."""
    if any("\uac00" <= letter <= "\ud7a3" or "\u1100" <= letter <= "\u11ff" for letter in name):
        return "ko"
    if any("\u3040" <= letter <= "\u30ff" for letter in name):
        return "ja"
    if any("\u4e00" <= letter <= "\u9fff" for letter in name):
        return "zh"
    return None


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = "class" if key == "cls" else key.rstrip("_").replace("_", "-")
    if name == "viewbox":
        name = "viewBox"
    if value is True:
        return f" {name}"
    return f' {name}="{escape(number(value) if isinstance(value, float) else str(value))}"'
