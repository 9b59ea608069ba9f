"""Every network of timm (PyTorch Image Models, Apache-2.0): more than a thousand."""

from collections.abc import Sequence
from typing import Any

from andon.core.manifest import Normalisation
from andon.models.archs import Arch, Backbone, BuildRequest, Stage


def _names() -> Sequence[str]:
    import timm

    names: list[str] = timm.list_models()
    return names


def _build(request: BuildRequest) -> Backbone:
    import timm

    config = timm.get_pretrained_cfg(request.name, allow_unregistered=True)
    published = config.to_dict() if config is not None else {}
    height, width = published.get("input_size", (3, 224, 224))[1:]
    fixed = bool(published.get("fixed_input_size"))
    settings: dict[str, Any] = {"drop_path_rate": request.drop_path} if request.drop_path else {}
    if fixed and request.size_wh not in {None, (width, height)}:
        settings["img_size"] = (request.size_wh[1], request.size_wh[0])  # transformers resize their position table
    module = timm.create_model(request.name, pretrained=False, num_classes=0, **settings)
    head = published.get("classifier", ())
    return Backbone(
        module=module,
        embedding_size=int(getattr(module, "head_hidden_size", None) or module.num_features),
        stages=_stages(module),
        head_prefixes=(head,) if isinstance(head, str) else tuple(head or ()),
        size_wh=(width, height),
        fixed_size=fixed,
        normalisation=Normalisation(
            mean=tuple(published.get("mean", (0.485, 0.456, 0.406))),
            std=tuple(published.get("std", (0.229, 0.224, 0.225))),
        ),
        hub=f"timm/{request.name}.{published['tag']}" if published.get("tag") else None,
        licence=str(published.get("license") or "unknown"),
    )


def _stages(module: Any) -> tuple[Stage, ...]:  # noqa: ANN401 - timm's models share no typed base
    found = getattr(module, "feature_info", None) or ()
    rows = found if isinstance(found, (list, tuple)) else found.info
    return tuple(
        Stage(module=row["module"], stride=int(row["reduction"]), channels=int(row["num_chs"])) for row in rows
    )


def _fetch(name: str) -> dict[str, object]:
    import timm

    state: dict[str, object] = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    return state


ARCH = Arch(title="timm", names=_names, build=_build, fetch=_fetch)
