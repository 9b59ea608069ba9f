"""Classification: one class per image, or (multi-label) any number of them."""

from andon.tasks.classification.decode import Answer, ClassScore, decode, probabilities
from andon.tasks.classification.targets import class_indices, label_matrix

__all__ = ["Answer", "ClassScore", "class_indices", "decode", "label_matrix", "probabilities"]
