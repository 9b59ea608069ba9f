"""What a model's manifest and run folder say of where it came from, for the report."""

import json
from pathlib import Path

from andon.core.manifest import Manifest
from andon.errors import BadData
from andon.evaluate.context import ParityResult, ReportContext


def context_of(manifest: Manifest) -> ReportContext:
    """What the manifest alone can tell; `dataclasses.replace` adds the rest."""
    preset = manifest.run.get("preset")
    exact = manifest.models.get("f32")
    parity = None
    if exact is not None:
        parity = ParityResult(
            max_difference=exact.max_difference, images=exact.parity_images, tolerance=exact.tolerance
        )
    return ReportContext(
        title=manifest.name,
        model_name=manifest.name,
        model_version=manifest.version,
        arch=manifest.arch,
        dataset=manifest.dataset,
        preset=preset if isinstance(preset, str) else "",
        settings=manifest.run,
        weights=manifest.weights,
        parity=parity,
        created=manifest.created,
    )


def read_curves(path: Path) -> tuple[dict[str, object], ...]:
    """The rows of a run's `metrics.jsonl`; none where there is no such file. A cut last line is left out.

    Raises:
        BadData: the file cannot be read, or a line before the last is no JSON object.
    """
    if not path.is_file():
        return ()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{path} cannot be read: {error}") from error
    rows: list[dict[str, object]] = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):  # training was killed while it wrote this one
                break
            raise BadData(f"{path}, line {number}: expected a JSON object: {error}") from error
        if not isinstance(row, dict):
            raise BadData(f"{path}, line {number}: expected a JSON object, got {type(row).__name__}")
        rows.append(row)
    return tuple(rows)
