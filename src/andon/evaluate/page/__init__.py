"""The report as one page: HTML, CSS, drawings and thumbnails in a single file that loads nothing."""

from andon.evaluate.page.document import render_page

__all__ = ["render_page"]
