"""Where training starts from: a weights file with its sidecar, a weights folder, the hub, or nothing.

Nothing is loaded with unmatched names unless they belong to the head, and normalisation comes from the sidecar or the
hub's own record, never from a guess.
"""

import json
import os
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from andon.core.files import sha256_file
from andon.core.machine import cache_folder
from andon.core.manifest import Normalisation, WeightsStamp
from andon.core.settings import build
from andon.errors import BadConfig, BadWeights
from andon.models.archs import Arch, Backbone
from andon.models.weights_match import load_matched

# What torch's restricted reader raises on bytes that are no weights.
_BROKEN_PICKLE = (
    *(
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        ArithmeticError,
        MemoryError,
    ),
    struct.error,
)

SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sidecar:
    """What `X.json` says about the weights `X.pth` or `X.safetensors`.

    Attributes:
        arch: the network they are of.
        keys: whose names the tensors carry.
        input_size: pixels a side they were trained at.
        colour, scale, mean, std: see `Normalisation`.
        bn_folded: batch norm is folded into the convolutions; training it again would destroy the features.
        licence: as stated by whoever published them.
        classes: of the head that may be inside.
        trained_on: the data set.
    """

    arch: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    licence: str
    keys: Literal["timm", "torchvision"] = "timm"
    input_size: int = 224
    colour: Literal["RGB", "BGR"] = "RGB"
    scale: float = 255.0
    classes: int = 0
    bn_folded: bool = False
    trained_on: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StartingPoint:
    """Weights that were loaded, or none.

    Attributes:
        stamp: where they came from and under which licence.
        normalisation: what they expect.
        bn_folded: see `Sidecar`.
    """

    stamp: WeightsStamp
    normalisation: Normalisation
    bn_folded: bool = False

    @property
    def pretrained(self) -> bool:
        """Whether there were any weights."""
        return self.stamp.source != "none"


def weights_folder() -> Path:
    """The folder of weights for machines without a network: `$ANDON_WEIGHTS`, else `weights` in the cache folder."""
    chosen = os.environ.get("ANDON_WEIGHTS")
    return Path(chosen) if chosen else cache_folder() / "weights"


def read_sidecar(path: Path) -> Sidecar:
    """The sidecar of the weights file `path`.

    Raises:
        BadWeights: it is missing or wrong; a missing one is shown ready to be filled in.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        form = (
            '{"arch": "…", "keys": "timm", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "licence": "…"}'
        )
        raise BadWeights(
            f"{path.name} has no sidecar {beside.name}, and its arch and normalisation are never guessed. "
            f"Write {beside} with what its publisher states, for example: {form}"
        )
    try:
        return build(Sidecar, json.loads(beside.read_text(encoding="utf-8")), where=beside.name)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadWeights(f"{beside} is not JSON: {error}") from error
    except BadConfig as error:
        raise BadWeights(str(error)) from error


def find_weights(chosen: str | None, arch: str | None) -> Path | None:
    """The weights file that `--weights` means.

    Args:
        chosen: a file, a folder, `none`, or None for the weights folder and then the hub.
        arch: the network wanted, where that is settled.

    Returns:
        None where there is no file: the hub or nothing.

    Raises:
        BadWeights: the path does not exist or a folder holds none for `arch`.
    """
    if chosen == "none":
        return None
    if chosen is None:
        return _in_folder(weights_folder(), arch) if arch else None
    path = Path(chosen)
    if path.is_dir():
        found = _in_folder(path, arch)
        if found is None:
            raise BadWeights(f"{path} holds no weights with a sidecar for {arch or 'a single arch'}; name the file")
        return found
    if not path.is_file():
        raise BadWeights(f"there is no weights file {path}; give a file, a folder of them, or --weights none")
    return path


def load_file(path: Path, backbone: Backbone, arch: str) -> StartingPoint:
    """Loads the weights file `path` into `backbone`.

    Raises:
        BadWeights: they are of another arch, unreadable, or do not match name for name and shape for shape.
    """
    sidecar = read_sidecar(path)
    if sidecar.arch != arch:
        raise BadWeights(
            f"{path.name} holds weights of {sidecar.arch}, not of {arch}. Use --arch {sidecar.arch}, or other weights"
        )
    load_matched(read_tensors(path), backbone, keys=sidecar.keys, arch=arch, where=path.name)
    return StartingPoint(
        stamp=WeightsStamp(
            source=path.name, licence=sidecar.licence, sha256=sha256_file(path), trained_on=sidecar.trained_on
        ),
        normalisation=Normalisation(colour=sidecar.colour, scale=sidecar.scale, mean=sidecar.mean, std=sidecar.std),
        bn_folded=sidecar.bn_folded,
    )


def load_hub(arch_family: Arch, backbone: Backbone, arch: str) -> StartingPoint:
    """Fetches the published weights of `arch` and loads them.

    Raises:
        BadWeights: there are none, or the hub cannot be reached; the other choices are named.
    """
    if backbone.hub is None or arch_family.fetch is None:
        raise BadWeights(f"no weights are published for {arch}. {_choices(arch)}")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        fetched = arch_family.fetch(arch)
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadWeights(f"the weights {backbone.hub} could not be fetched ({reason}). {_choices(arch)}") from error
    source = {name: value for name, value in fetched.items() if isinstance(value, Tensor)}
    load_matched(source, backbone, keys="timm", arch=arch, where=backbone.hub)
    return StartingPoint(
        stamp=WeightsStamp(source=f"hub:{backbone.hub}", licence=backbone.licence),
        normalisation=backbone.normalisation,
    )


def no_weights(backbone: Backbone) -> StartingPoint:
    """Random weights, normalised as the arch usually is."""
    return StartingPoint(
        stamp=WeightsStamp(source="none", licence="not applicable"), normalisation=backbone.normalisation
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` or `.pth` file as float32; nothing in it is executed.

    Raises:
        BadWeights: the file cannot be read as weights.
    """
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file as load_safetensors

        try:
            content: object = load_safetensors(path)
        except (SafetensorError, OSError) as error:
            raise BadWeights(f"{path} is not a readable safetensors file: {error}") from error
    elif path.suffix in SUFFIXES:
        content = _read_pth(path)
    else:
        raise BadWeights(f"{path}: expected {', '.join(SUFFIXES)}")
    if isinstance(content, Mapping):
        for wrapper in ("state_dict", "model", "model_ema"):
            if isinstance(content.get(wrapper), Mapping):
                content = content[wrapper]
                break
    tensors = (
        {str(name).removeprefix("module."): value for name, value in content.items() if isinstance(value, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        raise BadWeights(f"{path} holds no named tensors")
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def _read_pth(path: Path) -> object:
    import pickle

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # remarks on other pickle protocols
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *_BROKEN_PICKLE) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadWeights(f"{path} cannot be read as plain weights: {reason}") from error


def _in_folder(folder: Path, arch: str | None) -> Path | None:
    """The one weights file in `folder` whose sidecar names `arch`; the first by name where there are several."""
    if not folder.is_dir():
        return None
    candidates = [
        path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES and path.with_suffix(".json").is_file()
    ]
    if arch is None:
        return candidates[0] if len(candidates) == 1 else None
    return next((path for path in candidates if read_sidecar(path).arch == arch), None)


def _choices(arch: str) -> str:
    return (
        f"Without a network you can: give a file with --weights PATH; put {arch}'s weights and their .json into "
        f"{weights_folder()}; or train from nothing with --weights none"
    )
