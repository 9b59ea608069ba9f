"""The command line's surface: a new, changed or removed option is a deliberate act, written down in `options.txt`.

To accept a change: `python tests/cli/test_options_are_frozen.py` writes the file anew; commit it with a word in
CHANGELOG.md.
"""

import sys
from pathlib import Path

import pytest
import typer

from andon.cli.app import build_app, command_names

FROZEN = Path(__file__).with_name("options.txt")


def group() -> typer.core.TyperGroup:
    found = typer.main.get_command(build_app())
    assert isinstance(found, typer.core.TyperGroup)
    return found


def options() -> list[str]:
    """One line for each argument and option of each command."""
    lines: list[str] = []
    for name, command in sorted(group().commands.items()):
        for parameter in command.params:
            spelt = "/".join([*parameter.opts, *parameter.secondary_opts])
            kind = spelt if parameter.param_type_name == "option" else parameter.name
            required = "  required" if parameter.required else ""
            several = "  several" if parameter.multiple or parameter.nargs == -1 else ""
            lines.append(f"{name}  {kind}{required}{several}")
    return lines


def test_options_are_frozen() -> None:
    assert options() == FROZEN.read_text(encoding="utf-8").splitlines(), __doc__


@pytest.mark.parametrize("name", command_names())
def test_every_command_gives_json_and_says_what_it_does(name: str) -> None:
    command = group().commands[name]
    assert any("--json" in parameter.opts for parameter in command.params)
    first = (command.help or "").strip().split("\n", 1)[0]
    assert first.endswith("."), f"andon {name} has no one-line help"
    assert all(getattr(p, "help", None) for p in command.params if p.name != "help"), f"{name}: an option without help"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    from andon.cli.app import main

    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in command_names():
        line = next(line for line in shown.splitlines() if line.split()[:1] == [name])
        assert len(line.split()) > 3, line


if __name__ == "__main__":
    FROZEN.write_text("\n".join(options()) + "\n", encoding="utf-8", newline="\n")
    sys.stdout.write(f"{FROZEN} has {len(options())} lines now\n")
