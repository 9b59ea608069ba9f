"""Puts the page together."""

from html import escape

from andon.evaluate.context import ReportContext
from andon.evaluate.evaluation import Evaluation
from andon.evaluate.wording import headline


def render_page(evaluation: Evaluation, context: ReportContext) -> str:
    """The whole page."""
    said = escape(headline(evaluation, context))
    return f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>{escape(context.title)}</title><h1>{said}</h1>\n"
