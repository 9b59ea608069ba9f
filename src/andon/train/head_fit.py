"""Fits the head of a prepared network on its frozen features."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from andon.core.progress import Progress
from andon.core.records import ImageRecord, SplitName
from andon.export.onnx_graph import export_onnx
from andon.models.classifier import Embedder
from andon.train.features import Extractor
from andon.train.linear_head import LabelledFeatures, LinearHead, fit_head

if TYPE_CHECKING:
    from andon.train.resolve import Prepared


def fit_head_in_place(
    prepared: "Prepared",
    splits: Mapping[SplitName, tuple[ImageRecord, ...]],
    targets: Mapping[SplitName, NDArray[np.float32]],
    hashes: Mapping[str, str],
    progress: Progress,
    *,
    multi_label: bool,
) -> LinearHead:
    """Fits the head and puts it on `prepared.model`.

    Where nothing else will train (`fit_head`) and test is there to judge it, val takes part in the last fit, after it
    chose the regularisation.

    Args:
        prepared: the network.
        splits: all images; train and val are fitted.
        targets: their classes, zeros and ones [N, C].
        hashes: key → content hash.
        progress: hears how far it is.
        multi_label: see `fit_head`.
    """
    config = prepared.config
    extractor = Extractor(
        graph=export_onnx(Embedder(prepared.model), prepared.spec.size_wh, ["embedding"]),
        spec=prepared.spec,
        hashes=hashes,
        progress=progress,
        mirrored_too=config.augment.flip_horizontal,
    )
    train, val = splits["train"], splits["val"]
    plain_nd, mirrored_nd = extractor.embeddings([*train, *val])
    progress.say("fitting the head")
    head = fit_head(
        _rows(plain_nd[: len(train)], None if mirrored_nd is None else mirrored_nd[: len(train)], targets["train"]),
        _rows(plain_nd[len(train) :], None if mirrored_nd is None else mirrored_nd[len(train) :], targets["val"]),
        multi_label=multi_label,
        balanced=config.loss.class_balance != "none",
        include_val=config.method == "fit_head" and bool(splits["test"]),
    )
    with torch.no_grad():
        prepared.model.head.weight.copy_(torch.from_numpy(head.weight_cd))
        prepared.model.head.bias.copy_(torch.from_numpy(head.bias_c))
    return head


def _rows(
    plain_nd: NDArray[np.float32], mirrored_nd: NDArray[np.float32] | None, targets_nc: NDArray[np.float32]
) -> LabelledFeatures:
    """The features of images and, where there are any, of their mirror images, with targets."""
    if mirrored_nd is None:
        return LabelledFeatures(features_nd=plain_nd, targets_nc=targets_nc)
    return LabelledFeatures(
        features_nd=np.concatenate([plain_nd, mirrored_nd]), targets_nc=np.concatenate([targets_nc, targets_nc])
    )
