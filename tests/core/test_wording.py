import pytest

from andon.core.wording import counted, listed


@pytest.mark.parametrize(
    ("number", "nouns", "expected"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (1393, ("image",), "1,393 images"),
        (2, ("class", "classes"), "2 classes"),
        (1, ("file is", "files are"), "1 file is"),
    ],
)
def test_counted(number: int, nouns: tuple[str, ...], expected: str) -> None:
    assert counted(number, *nouns) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [([], ""), (["a"], "a"), (["a", "b", "c"], "a, b, c"), (["a", "b", "c", "d", "e"], "a, b, c and 2 more")],
)
def test_listed(names: list[str], expected: str) -> None:
    assert listed(names, first=3) == expected
