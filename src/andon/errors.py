"""Every error Andon raises on purpose.

    AndonError
    ├── UserError            the input is wrong: exit 2, HTTP 400
    │   ├── BadImage         not an accepted kind (415), broken (400), over the cap (413)
    │   ├── BadData          a dataset that cannot be read or used as asked
    │   ├── BadConfig        unknown or impossible settings; all of them at once
    │   ├── BadWeights       a weights file that is missing or does not fit
    │   ├── BadBundle        a bundle refused on opening, with the reason
    │   ├── BadRequest       an HTTP request that cannot be answered; carries its status
    │   └── MissingExtra     an optional part is not installed; says the command
    ├── GateFailed           the work ran, but the answer is "no": exit 1
    └── InternalError        our fault: exit 70, HTTP 500

A message says what was expected, what came, where (file, key, line) and what to do.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Literal

ImageFault = Literal["unsupported", "broken", "too_large"]


class AndonError(Exception):
    """The root of the tree. `exit_code` is what the command line returns."""

    exit_code: int = 70
    http_status: int = 500
    code: str = "internal"


class UserError(AndonError):
    """What the user gave is wrong, and the message says how to put it right."""

    exit_code = 2
    http_status = 400
    code = "bad_input"


class BadImage(UserError):
    """Bytes that are not an image Andon accepts."""

    code = "bad_image"
    _STATUS: dict[ImageFault, int] = {"unsupported": 415, "broken": 400, "too_large": 413}  # noqa: RUF012

    def __init__(self, message: str, *, fault: ImageFault) -> None:
        super().__init__(message)
        self.fault: ImageFault = fault
        self.http_status = self._STATUS[fault]
        self.code = f"image_{fault}"


class BadData(UserError):
    """A dataset that cannot be read, or not used as asked."""

    code = "bad_data"


class BadConfig(UserError):
    """One or more settings are wrong; `problems` lists every one of them."""

    code = "bad_config"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class BadWeights(UserError):
    """A weights file that is missing, unreadable or belongs to another arch."""

    code = "bad_weights"


class BadBundle(UserError):
    """A bundle that is refused on opening."""

    code = "bad_bundle"


class BadRequest(UserError):
    """An HTTP request that cannot be answered.

    Args:
        message: what was expected and what came.
        status: the HTTP status to answer with.
        code: the machine-readable name of the fault.
        retry_after_s: seconds after which asking again makes sense, if it does.
    """

    def __init__(
        self, message: str, *, status: int = 400, code: str = "bad_request", retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.http_status = status
        self.code = code
        self.retry_after_s = retry_after_s


class MissingExtra(UserError):
    """An optional part of Andon is not installed."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs the extra "{extra}". Install it with: pip install "andon[{extra}]"')
        self.extra = extra


class GateFailed(AndonError):
    """The work ran to its end, but the answer is "no"."""

    exit_code = 1
    http_status = 409
    code = "gate_failed"


class InternalError(AndonError):
    """A state that Andon should never be in."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The end of a sentence naming the nearest of `choices`, or the choices themselves when none is near."""
    known = sorted(choices)
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return "Did you mean " + " or ".join(near) + "?"
    shown = ", ".join(known[:12]) + (f", … ({len(known)} in all)" if len(known) > 12 else "")
    return f"Known: {shown}."
