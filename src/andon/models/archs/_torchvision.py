"""What the families that only torchvision has share; each family is a file in `archs/`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from andon.core.manifest import Normalisation
from andon.errors import BadConfig
from andon.models.archs import Arch, Backbone, BuildRequest, Stage

_LICENCE = "BSD-3-Clause"


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One family of torchvision networks.

    Attributes:
        title: for people.
        names: torchvision's names of its networks.
        behead: takes a network's head off in place and returns the length of what then comes out.
        stages: see `Backbone.stages`.
        head_prefixes: see `Backbone.head_prefixes`.
        options: further arguments of torchvision's builder.
    """

    title: str
    names: tuple[str, ...]
    behead: Callable[[Any], int]
    stages: tuple[Stage, ...]
    head_prefixes: tuple[str, ...]
    options: dict[str, object] = field(default_factory=dict)


def torchvision_arch(family: Family) -> Arch:
    """The plug-in record of a torchvision family."""

    def build(request: BuildRequest) -> Backbone:
        from torchvision import models

        if request.drop_path:
            raise BadConfig([f"model.drop_path: {request.name} has no stochastic depth; expected 0"])
        module = models.get_model(request.name, weights=None, **family.options)
        embedding_size = family.behead(module)
        return Backbone(
            module=module,
            embedding_size=embedding_size,
            stages=family.stages,
            head_prefixes=family.head_prefixes,
            size_wh=(224, 224),
            fixed_size=False,
            normalisation=Normalisation(),
            hub=f"torchvision/{request.name}",
            licence=_LICENCE,
        )

    def fetch(name: str) -> dict[str, object]:
        from torchvision import models

        weights = models.get_model_weights(name).DEFAULT
        state: dict[str, object] = weights.get_state_dict(progress=False, check_hash=True)
        return state

    return Arch(title=family.title, names=lambda: family.names, build=build, fetch=fetch)


def behead_linear(attribute: str) -> Callable[[Any], int]:
    """A `behead` for networks whose head is one Linear layer under `attribute`."""

    def behead(module: Any) -> int:  # noqa: ANN401 - torchvision's networks share no typed base
        from torch import nn

        size = int(getattr(module, attribute).in_features)
        setattr(module, attribute, nn.Identity())
        return size

    return behead
