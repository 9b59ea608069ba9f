"""Finds the command, runs it, and turns errors into exit codes."""

import io
import logging
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from andon.cli.output import as_json_line
from andon.errors import AndonError, UserError

EXIT_INTERRUPTED = 130
EXIT_OUR_FAULT = 70


def command_names() -> tuple[str, ...]:
    """Every command, by the names of the files in `commands/`."""
    folder = Path(__file__).parent / "commands"
    return tuple(sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")))


def build_app(only: str | None = None) -> typer.Typer:
    """The Typer application with every command, or with `only` one, so that nothing else is imported."""
    app = typer.Typer(
        name="andon",
        help="From photos to a served, proven vision model on your own machine.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        no_args_is_help=True,
    )
    app.callback()(_version)
    for name in command_names() if only is None else (only,):
        module: Any = import_module(f"andon.cli.commands.{name}")
        app.command(name)(getattr(module, name))
    return app


def _say_version(wanted: bool) -> None:
    if wanted:
        from andon import __version__

        typer.echo(__version__)
        raise typer.Exit


def _version(
    *,
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_say_version, help="Say the version and stop."
    ),
) -> None:
    del version  # its callback has answered


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `andon ARGUMENTS` and returns its exit code: 0 done, 1 the answer is "no", 2 wrong input, 70 our fault."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _show_every_letter()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    only = words[0] if words and words[0] in command_names() else None
    try:
        outcome = build_app(only)(args=words, prog_name="andon", standalone_mode=False)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except AndonError as error:
        return _report(error, words)
    except KeyboardInterrupt:
        typer.echo("andon: interrupted", err=True)
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last line of defence: said with its trace, never swallowed
        return _unexpected(error, words)
    return outcome if isinstance(outcome, int) else 0


def _show_every_letter() -> None:
    """Consoles of an old code page show the letters they lack as escapes, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _report(error: AndonError, words: Sequence[str]) -> int:
    _say_json({"error": str(error), "code": error.code}, words)
    prefix = "andon: " if isinstance(error, UserError) else f"andon ({error.code}): "
    typer.echo(prefix + str(error), err=True)
    return error.exit_code


def _unexpected(error: Exception, words: Sequence[str]) -> int:
    show = getattr(error, "show", None)
    if callable(show):  # click's usage errors: a wrong option or argument
        full = getattr(error, "format_message", None)
        _say_json({"error": full() if callable(full) else str(error), "code": "usage"}, words)
        show()
        return UserError.exit_code
    _say_json({"error": f"{type(error).__name__}: {error}", "code": "internal"}, words)
    typer.echo("andon: this is a fault of ours, please report it with the lines below", err=True)
    traceback.print_exception(error)
    return EXIT_OUR_FAULT


def _say_json(result: dict[str, str], words: Sequence[str]) -> None:
    if "--json" in words:
        typer.echo(as_json_line(result))
