from pathlib import Path

import numpy as np
import pytest

from andon.core.records import ImageRecord
from andon.evaluate import EvaluatedSplit, Evaluation, ModelFacts, ReportContext, Seen, evaluate_images
from andon.evaluate.wording import calibration_sentence, caveats, headline, per_hundred


def evaluation(right: int, wrong: int, *, split: EvaluatedSplit = "test", sure: float = 0.9) -> Evaluation:
    labels = ["a", "b"] * ((right + wrong + 1) // 2)
    records = [ImageRecord(key=f"{n}.jpg", path=Path(f"{n}.jpg"), labels=(labels[n],)) for n in range(right + wrong)]
    rows = []
    for n in range(right + wrong):
        of_a = sure if (labels[n] == "a") == (n < right) else 1 - sure
        rows.append([of_a, 1 - of_a])
    return evaluate_images(
        records, np.array(rows, np.float32), ModelFacts(classes=("a", "b")), split=split, resamples=100
    )


CONTEXT = ReportContext(title="t")


def test_the_headline_says_it_in_one_sentence() -> None:
    said = headline(evaluation(253, 25), CONTEXT)
    assert said.startswith("On 278 test photos that training never saw, the model is right in 91 of 100 cases; ")
    assert "with this many photos the true figure lies between 87 and 95" in said


def test_perfection_on_few_photos_is_not_called_certain() -> None:
    said = headline(evaluation(12, 0), CONTEXT)
    assert said == (
        "On 12 test photos that training never saw, the model is right every time; "
        "with this few photos the true figure may be as low as 76 in 100."
    )


def test_failure_every_time_is_said_too() -> None:
    assert "not once; with this few photos the true figure may be as high as" in headline(evaluation(0, 6), CONTEXT)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ("never", "test photos that training never saw"),
        ("chosen_on", "validation photos, which training used to choose"),
        ("trained_on", "training photos, which the model learned from"),
        ("partly", "photos, part of which the model learned from"),
        ("unknown", "On 10 photos, the model"),
    ],
)
def test_the_headline_never_claims_more_than_is_known(seen: Seen, words: str) -> None:
    assert words in headline(evaluation(8, 2), ReportContext(title="t", seen=seen))


@pytest.mark.parametrize(
    ("split", "words"),
    [("train", "say nothing about new ones"), ("val", "used to choose the best model"), ("all", "cannot tell")],
)
def test_what_was_seen_in_training_is_a_caveat(split: EvaluatedSplit, words: str) -> None:
    assert any(words in sentence for sentence in caveats(evaluation(150, 9, split=split), CONTEXT))


def test_many_test_photos_of_every_class_need_no_caveat() -> None:
    assert list(caveats(evaluation(150, 9), CONTEXT)) == []


def test_few_photos_and_few_of_a_class_are_caveats() -> None:
    said = " ".join(caveats(evaluation(8, 2), CONTEXT))
    assert "10 photos are few" in said
    assert "Fewer than 20 photos to test: a (5) and b (5)" in said


def test_one_photo_is_singular() -> None:
    said = " ".join(caveats(evaluation(1, 0), CONTEXT))
    assert "1 photo is few" in said
    assert "No photo of b was there to test" in said


@pytest.mark.parametrize(("share", "text"), [(0.912, "91"), (0.9991, "99.9"), (0.001, "0.1"), (1.0, "100"), (0.0, "0")])
def test_shares_never_round_to_certainty(share: float, text: str) -> None:
    assert per_hundred(share) == text


def test_calibration_is_said_in_words() -> None:
    assert "more sure than it should be" in calibration_sentence(evaluation(120, 80).metrics)
    assert "less sure than it should be" in calibration_sentence(evaluation(196, 4, sure=0.6).metrics)
    assert "taken at their word" in calibration_sentence(evaluation(180, 20).metrics)
