"""Scores anything that answers, validation during training, a bundle or a server, and writes the report about it."""

from andon.evaluate.context import ParityResult, ReportContext, Seen
from andon.evaluate.evaluation import (
    EvaluatedImage,
    EvaluatedSplit,
    Evaluation,
    Judged,
    ModelFacts,
    evaluate_images,
    evaluate_predictor,
)
from andon.evaluate.origin import context_of, read_curves
from andon.evaluate.report import write_report

__all__ = [
    "EvaluatedImage",
    "EvaluatedSplit",
    "Evaluation",
    "Judged",
    "ModelFacts",
    "ParityResult",
    "ReportContext",
    "Seen",
    "context_of",
    "evaluate_images",
    "evaluate_predictor",
    "read_curves",
    "write_report",
]
