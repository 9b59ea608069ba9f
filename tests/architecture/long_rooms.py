"""Prints files over 400 lines and functions over 50: a hint to look, never a failure."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "tests", "bench", "examples", "docs")
FILE_LINES, FUNCTION_LINES = 400, 50


def long_things() -> Iterator[str]:
    """One line for each file or function that is long enough to look at."""
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        if lines > FILE_LINES:
            yield f"{where}: {lines} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    yield f"{where}:{node.lineno}: {node.name} has {length} lines"


if __name__ == "__main__":
    found = list(long_things())
    print("\n".join(["long, worth a look:", *(f"  {line}" for line in found)]) if found else "nothing is long")
