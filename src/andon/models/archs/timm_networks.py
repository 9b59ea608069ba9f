"""Every network of timm (PyTorch Image Models, Apache-2.0): more than a thousand."""

from collections.abc import Sequence, Set
from typing import Any

from andon.core.manifest import Normalisation
from andon.errors import BadConfig
from andon.models.archs import Arch, Backbone, BuildRequest, Stage

# What some networks' lists of features call a module, and its real name: MViTv2, Twins; HRNet; MobileNetV5.
_REAL_NAMES = {"block": ("stages", "blocks"), "stem": ("act2",), "stage1": ("layer1",), "bn1": ("conv_stem",)}
_HUB_ANSWERS_WITHIN_S = 5.0


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
        # The new network's position table has this size; weights with another one are refused.
        settings["img_size"] = (request.size_wh[1], request.size_wh[0])
    try:
        module = timm.create_model(request.name, pretrained=False, num_classes=0, **settings)
    except TypeError as error:
        if not request.drop_path:
            raise
        raise BadConfig([f"model.drop_path: {request.name} has no stochastic depth; expected 0"]) from error
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
        hub=f"timm/{request.name}.{published['tag']}" if config is not None and config.has_weights else None,
        licence=str(published.get("license") or "unknown"),
    )


def _stages(module: Any) -> tuple[Stage, ...]:  # noqa: ANN401 - timm's models share no typed base
    found = getattr(module, "feature_info", None) or ()
    modules = {name for name, _ in module.named_modules()}
    stages: list[Stage] = []
    for row in found if isinstance(found, (list, tuple)) else found.info:
        name = _real_name(row["module"], modules)
        if name is not None:
            stages.append(Stage(module=name, stride=int(row["reduction"]), channels=int(row["num_chs"])))
    return tuple(stages)


def _real_name(listed: str, modules: Set[str]) -> str | None:
    """The module that a network's list of features means, or None where it has no such module."""
    first, dot, rest = listed.partition(".")
    candidates = (listed, *(f"{other}{dot}{rest}" for other in _REAL_NAMES.get(first, ())))
    return next((name for name in candidates if name in modules), None)


def _fetch(name: str) -> dict[str, object]:
    import timm

    config = timm.get_pretrained_cfg(name)
    if config is not None and config.hf_hub_id:
        _reach_hub(str(config.hf_hub_id))
    state: dict[str, object] = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    return state


def _reach_hub(repository: str) -> None:
    """Asks the hub once whether it is there, unless the weights are on disk already: its own retries take a minute."""
    from huggingface_hub import constants, get_session, hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    for file in ("model.safetensors", "pytorch_model.bin"):
        try:
            hf_hub_download(repository, file, local_files_only=True)
        except LocalEntryNotFoundError:
            continue
        return
    get_session().head(constants.ENDPOINT, timeout=_HUB_ANSWERS_WITHIN_S)


ARCH = Arch(title="timm", names=_names, build=_build, fetch=_fetch)
