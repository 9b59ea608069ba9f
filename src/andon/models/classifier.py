"""A classifier: normalisation, backbone, dropout, linear head. Pixels in, logits out."""

import torch
from torch import Tensor, nn

from andon.core.manifest import Normalisation
from andon.models.archs import Backbone


class Classifier(nn.Module):
    """Classifies uint8 or float NHWC pixels in 0..255.

    Shapes: x_BHWC → embedding_BD → logits_BC. Normalisation lives inside, so the exported graph carries it.

    Args:
        built: the backbone.
        num_classes: the length of the logits.
        normalisation: what the backbone's weights expect.
        dropout: of the embedding, in training.
    """

    scale: Tensor
    mean_c111: Tensor
    std_c111: Tensor

    def __init__(
        self, built: Backbone, num_classes: int, *, normalisation: Normalisation, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.backbone = built.module
        self.stages = built.stages
        self.embedding_size = built.embedding_size
        self.bgr = normalisation.colour == "BGR"
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(built.embedding_size, num_classes)
        nn.init.zeros_(self.head.bias)
        nn.init.normal_(self.head.weight, std=0.01)
        self.register_buffer("scale", torch.tensor(float(normalisation.scale)), persistent=False)
        self.register_buffer("mean_c111", torch.tensor(normalisation.mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std_c111", torch.tensor(normalisation.std).reshape(1, 3, 1, 1), persistent=False)

    def normalise(self, pixels_bhwc: Tensor) -> Tensor:
        """Pixels as the backbone takes them: float NCHW, which from NHWC is channels-last in memory."""
        x_bchw = pixels_bhwc.permute(0, 3, 1, 2).to(self.scale.dtype)
        if self.bgr:
            x_bchw = x_bchw.flip(1)
        return (x_bchw / self.scale - self.mean_c111) / self.std_c111

    def embed(self, pixels_bhwc: Tensor) -> Tensor:
        """The pooled embedding [B, D]."""
        embedding: Tensor = self.backbone(self.normalise(pixels_bhwc))
        return embedding.flatten(1)

    def forward(self, pixels_bhwc: Tensor) -> Tensor:
        """Logits [B, C]."""
        logits: Tensor = self.head(self.dropout(self.embed(pixels_bhwc)))
        return logits


class Embedder(nn.Module):
    """The part of a classifier before its head, for export: pixels in, embedding out."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels_bhwc: Tensor) -> Tensor:
        """The pooled embedding [B, D]."""
        return self.model.embed(pixels_bhwc)
