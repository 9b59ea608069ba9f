"""`andon samples`: draw a labelled dataset to try things with."""

from pathlib import Path
from typing import Annotated

import typer

from andon.cli.output import JsonFlag, emit


def samples(
    name: Annotated[str, typer.Argument(help="Which sample, for example steel-strips.")],
    out: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    images_per_class: Annotated[
        int, typer.Option("--images-per-class", "-n", help="How many images of each class.")
    ] = 60,
    size: Annotated[int, typer.Option(help="Width and height of each image in pixels.")] = 256,
    seed: Annotated[int, typer.Option(help="The same seed draws the same files.")] = 0,
    json: JsonFlag = False,
) -> None:
    """Draw a labelled sample dataset: images by class, and pixel masks beside them."""
    from andon.cli.output import progress
    from andon.samples import SampleOptions, draw_sample

    options = SampleOptions(images_per_class=images_per_class, size_px=size, seed=seed)
    with progress() as listener:
        sample = draw_sample(name, out, options, listener)
    number = images_per_class * len(sample.classes)
    result = {
        "sample": name,
        "out": str(out),
        "classes": list(sample.classes),
        "images": number,
        "images_per_class": images_per_class,
        "size_px": size,
        "seed": seed,
    }
    text = (
        f"{sample.title}.\n"
        f"{number:,} images of {size}×{size} pixels in {len(sample.classes)} classes: {', '.join(sample.classes)}\n"
        f"  images  {out / 'images'}\n"
        f"  masks   {out / 'masks'}\n"
        f"Next: andon inspect {out}"
    )
    emit(result, as_json=json, text=text)
