"""`andon doctor`."""

from typing import TYPE_CHECKING

import typer

from andon.cli.output import JsonFlag, emit, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from andon.cli.checkup import Finding

_SIGNS = {"ok": "ok     ", "note": "note   ", "warning": "WARNING", "fault": "FAULT  "}


def doctor(*, json: JsonFlag = False) -> None:
    """Look at this machine: what Andon can use here, what it cannot, and how to put it right."""
    from andon.cli.checkup import examine

    say("looking at this machine; importing torch can take a while …")
    findings = examine()
    well = all(finding.state != "fault" for finding in findings)
    plain = [{"check": f.check, "state": f.state, "message": f.message, "fix": f.fix} for f in findings]
    emit({"ok": well, "findings": plain}, as_json=json, text=as_text(findings))
    if not well:
        raise typer.Exit(1)


def as_text(findings: "Sequence[Finding]") -> str:
    """One line per finding, and below it what to do."""
    lines: list[str] = []
    for finding in findings:
        lines.append(f"{_SIGNS[finding.state]}  {finding.message}")
        if finding.fix is not None:
            lines.append(f"         → {finding.fix}")
    return "\n".join(lines)
