"""`python -m bench [NAME...]` answers the named questions, or all of them, and keeps each answer as a file."""

import argparse
import importlib
import json
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from andon.core.machine import available_cpus, cpu_name

FOLDER = Path(__file__).parent


def questions() -> list[str]:
    """Every bench by its file's name."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def hardware() -> str:
    """The machine as part of a file name: processor and the CPUs in use."""
    name = re.sub(r"[^a-z0-9]+", "-", cpu_name().lower()).strip("-")
    return f"{name}-{available_cpus()}cpu"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(questions())}")
    names = parser.parse_args().names or questions()
    unknown = sorted(set(names) - set(questions()))
    if unknown:
        parser.error(f"no such bench: {', '.join(unknown)}; there are: {', '.join(questions())}")
    for name in names:
        print(f"== {name}", flush=True)
        answer = importlib.import_module(f"bench.{name}").run()
        now = datetime.now(UTC)
        machine = {
            "cpu": cpu_name(),
            "cpus": available_cpus(),
            "system": platform.platform(),
            "python": platform.python_version(),
        }
        record = {"question": name, "machine": machine, "measured_at": now.isoformat(timespec="seconds"), **answer}
        path = FOLDER / "results" / f"{name}_{hardware()}_{now:%Y-%m-%d}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(json.dumps(answer, indent=2, ensure_ascii=False), flush=True)
        print(f"kept in {path}", flush=True)


if __name__ == "__main__":
    main()
