"""Scores anything that answers, validation during training, a bundle or a server, and writes the report about it."""

from andon.evaluate.context import ParityResult, ReportContext, Seen
from andon.evaluate.evaluation import (
    EvaluatedImage,
    Evaluation,
    Judged,
    ModelFacts,
    evaluate_images,
    evaluate_predictor,
)
from andon.evaluate.report import write_report

__all__ = [
    "EvaluatedImage",
    "Evaluation",
    "Judged",
    "ModelFacts",
    "ParityResult",
    "ReportContext",
    "Seen",
    "evaluate_images",
    "evaluate_predictor",
    "write_report",
]
