"""Splits: shares kept, nothing crosses, and nothing but content and seed decides."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.core.records import SPLITS, Dataset, ImageRecord, SplitName
from andon.datasets.splits import FRACTIONS, SplitTable, split_dataset, split_records
from andon.datasets.stratify import make_units
from andon.errors import BadConfig, BadData

Made = tuple[Dataset, dict[str, str]]


def made(
    images: list[tuple[str | tuple[str, ...], str, str | None, SplitName | None]],
    *,
    prefix: str = "",
    multi: bool = False,
) -> Made:
    """A dataset from (labels, content, group, named split), and its hashes; nothing lies on disk."""
    records, hashes = [], {}
    for number, (label, content, group, split) in enumerate(images):
        key = f"{prefix}{number:05d}.jpg"
        labels = (label,) if isinstance(label, str) else label
        records.append(ImageRecord(key=key, path=Path(key), labels=labels, group=group, split=split))
        hashes[key] = hashlib.sha256(content.encode()).hexdigest()
    classes = tuple(sorted({label for record in records for label in record.labels}))
    return (
        Dataset(
            root=Path("data"),
            format="made",
            task="classification",
            classes=classes,
            multi_label=multi,
            images=tuple(records),
        ),
        hashes,
    )


def plain(counts: dict[str, int]) -> Made:
    """Every image different, no groups, no named splits."""
    return made([(name, f"{name}/{n}", None, None) for name, number in counts.items() for n in range(number)])


def per_class(dataset: Dataset, hashes: dict[str, str], table: SplitTable) -> dict[SplitName, Counter[str]]:
    parts = split_records(dataset, hashes, table)
    return {split: Counter(label for image in parts[split] for label in image.labels) for split in SPLITS}


def codes(table: SplitTable) -> list[str]:
    return [problem.code for problem in table.problems]


class_counts = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 60), min_size=2)
seeds = st.integers(0, 5)
grouped_images = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 60).map(str),
        st.one_of(st.none(), st.sampled_from("uvwxyz")),
        st.none(),
    ),
    min_size=2,
    max_size=80,
).filter(lambda images: len({image[0] for image in images}) > 1)


@given(class_counts, seeds)
def test_every_class_is_shared_out_within_one_image(counts: dict[str, int], seed: int) -> None:
    dataset, hashes = plain(counts)
    shares = per_class(dataset, hashes, split_dataset(dataset, hashes, seed=seed))
    for name, number in counts.items():
        for split, fraction in zip(SPLITS, FRACTIONS, strict=True):
            assert abs(shares[split][name] - fraction * number) < 1
        assert shares["train"][name] >= 1
        assert sum(shares[split][name] for split in SPLITS) == number


@given(class_counts, seeds)
def test_totals_keep_their_shares_too(counts: dict[str, int], seed: int) -> None:
    dataset, hashes = plain(counts)
    table = split_dataset(dataset, hashes, seed=seed)
    parts = split_records(dataset, hashes, table)
    # One-image classes have to be trained on; everything else evens out over the classes.
    slack = 2 + sum(number < 4 for number in counts.values())
    for split, fraction in zip(SPLITS, FRACTIONS, strict=True):
        assert abs(len(parts[split]) - fraction * len(dataset.images)) <= slack


@given(grouped_images, seeds)
def test_groups_and_equal_content_never_cross(images: list[tuple[str, str, str | None, None]], seed: int) -> None:
    dataset, hashes = made(list(images))
    parts = split_records(dataset, hashes, split_dataset(dataset, hashes, seed=seed))
    splits_of: dict[tuple[str, str], set[SplitName]] = {}
    for split, records in parts.items():
        for record in records:
            splits_of.setdefault(("content", hashes[record.key]), set()).add(split)
            if record.group is not None:
                splits_of.setdefault(("group", record.group), set()).add(split)
    assert all(len(splits) == 1 for splits in splits_of.values())
    assert sum(map(len, parts.values())) == len(dataset.images)


@given(grouped_images, seeds, st.randoms(use_true_random=False))
def test_only_content_groups_and_seed_decide(
    images: list[tuple[str, str, str | None, None]], seed: int, shuffler: Random
) -> None:
    dataset, hashes = made(list(images))
    shuffled = list(images)
    shuffler.shuffle(shuffled)
    other, other_hashes = made([*shuffled], prefix="renamed and moved/")
    table = split_dataset(dataset, hashes, seed=seed)
    again = split_dataset(other, other_hashes, seed=seed)
    assert table.assignment == again.assignment
    assert table.hash == again.hash


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from("abcde"), max_size=3).map(lambda s: tuple(sorted(s)))),
        min_size=20,
        max_size=80,
    ).filter(lambda images: any(image[0] for image in images)),
    seeds,
)
@settings(max_examples=50)
def test_multi_label_classes_are_all_trained_on(images: list[tuple[tuple[str, ...]]], seed: int) -> None:
    dataset, hashes = made([(labels, str(n), None, None) for n, (labels,) in enumerate(images)], multi=True)
    table = split_dataset(dataset, hashes, seed=seed)
    shares = per_class(dataset, hashes, table)
    assert set(shares["train"]) == set(dataset.classes)
    assert sum(len(part) for part in split_records(dataset, hashes, table).values()) == len(images)


def test_multi_label_shares_stay_close() -> None:
    rng = Random(4)  # noqa: S311 - draws test data
    chances = {"a": 0.5, "b": 0.3, "c": 0.1, "d": 0.05}
    drawn = [tuple(name for name, chance in chances.items() if rng.random() < chance) for _ in range(1000)]
    dataset, hashes = made([(labels, str(n), None, None) for n, labels in enumerate(drawn)], multi=True)
    shares = per_class(dataset, hashes, split_dataset(dataset, hashes, seed=1))
    for name in dataset.classes:
        number = sum(shares[split][name] for split in SPLITS)
        for split, fraction in zip(SPLITS, FRACTIONS, strict=True):
            assert shares[split][name] / number == pytest.approx(fraction, abs=0.03)


def test_another_seed_draws_another_split() -> None:
    dataset, hashes = plain({"a": 40, "b": 40})
    hash_of = {seed: split_dataset(dataset, hashes, seed=seed).hash for seed in range(4)}
    assert len(set(hash_of.values())) == 4


def test_groups_of_unequal_size_end_near_their_shares() -> None:
    rng = Random(0)  # noqa: S311 - draws test data
    images = [
        (name, f"{day}/{name}/{n}", f"day {day}", None)
        for day in range(30)
        for name in ("ok", "bad")
        for n in range(rng.randint(1, 12))
    ]
    dataset, hashes = made([*images])
    shares = per_class(dataset, hashes, split_dataset(dataset, hashes, seed=0))
    for name in dataset.classes:
        number = sum(shares[split][name] for split in SPLITS)
        for split, fraction in zip(SPLITS, FRACTIONS, strict=True):
            assert shares[split][name] / number == pytest.approx(fraction, abs=0.06)


def test_many_two_image_classes_leave_no_split_empty() -> None:
    dataset, hashes = plain({f"class {n:03d}": 2 for n in range(100)})
    sizes = {
        split: len(part)
        for split, part in split_records(dataset, hashes, split_dataset(dataset, hashes, seed=0)).items()
    }
    assert sizes == {"train": 128, "val": 32, "test": 40}


def test_units_join_through_content_and_group() -> None:
    dataset, hashes = made([("a", "1", "g", None), ("b", "2", "g", None), ("b", "2", "h", None), ("a", "3", "h", None)])
    units = make_units(dataset.images, hashes)
    assert len(units) == 1
    assert units[0].labels == {"a": 2, "b": 2}


def test_one_image_class_goes_to_train_and_is_said() -> None:
    dataset, hashes = plain({"many": 20, "lonely": 1})
    table = split_dataset(dataset, hashes, seed=0)
    assert per_class(dataset, hashes, table)["train"]["lonely"] == 1
    assert codes(table) == ["one_image_class"]
    assert "'lonely' has only one image, which went to train" in table.problems[0].message


def test_a_class_that_a_split_lacks_is_said() -> None:
    dataset, hashes = plain({"many": 40, "few": 3})
    table = split_dataset(dataset, hashes, seed=0)
    assert codes(table) == ["class_not_in_split"]
    assert "'few' (3 images) has no image in" in table.problems[0].message


def test_too_few_images_for_all_splits_is_said() -> None:
    dataset, hashes = plain({"a": 1, "b": 1})
    assert codes(split_dataset(dataset, hashes, seed=0)).count("empty_split") == 2


def test_one_class_is_refused() -> None:
    dataset, hashes = plain({"only": 9})
    with pytest.raises(BadData, match="has only 'only'; telling classes apart needs at least two"):
        split_dataset(dataset, hashes, seed=0)


def test_an_image_that_was_never_read_is_refused() -> None:
    dataset, hashes = plain({"a": 4, "b": 4})
    del hashes["00002.jpg"]
    with pytest.raises(BadData, match=r"1 image was never read: 00002\.jpg"):
        split_dataset(dataset, hashes, seed=0)


def named(
    split: SplitName | None, number: int, *, start: int = 0
) -> list[tuple[str | tuple[str, ...], str, str | None, SplitName | None]]:
    """`number` images of `a` and of `b` each, all different, in a split that the data names."""
    return [(name, f"{name}{n + start}", None, split) for name in "ab" for n in range(number)]


def test_splits_that_the_data_names_are_kept() -> None:
    dataset, hashes = made([*named("train", 5), *named("val", 3, start=50), *named("test", 1, start=90)])
    table = split_dataset(dataset, hashes, seed=0)
    parts = split_records(dataset, hashes, table)
    assert {split: len(part) for split, part in parts.items()} == {"train": 10, "val": 6, "test": 2}
    assert all(record.split == split for split, part in parts.items() for record in part)
    assert table.problems == ()


@pytest.mark.parametrize(
    ("given_split", "missing", "share"), [("val", "test", 0.20 / 0.84), ("test", "val", 0.16 / 0.80)]
)
def test_a_split_the_data_lacks_is_taken_from_train(given_split: SplitName, missing: SplitName, share: float) -> None:
    dataset, hashes = made([*named("train", 50), *named(given_split, 10, start=500)])
    table = split_dataset(dataset, hashes, seed=0)
    parts = split_records(dataset, hashes, table)
    assert len(parts[given_split]) == 20
    assert abs(len(parts[missing]) - share * 100) <= 2
    assert all(record.split == "train" for record in parts[missing])
    assert codes(table) == ["split_filled"]
    assert f"names no {missing} split" in table.problems[0].message


def test_only_train_named_fills_both_others() -> None:
    dataset, hashes = made(named("train", 50))
    table = split_dataset(dataset, hashes, seed=0)
    assert {split: len(part) for split, part in split_records(dataset, hashes, table).items()} == {
        "train": 64,
        "val": 16,
        "test": 20,
    }


def test_images_without_a_name_go_where_splits_are_open() -> None:
    dataset, hashes = made([*named("test", 10), *named(None, 50, start=100)])
    table = split_dataset(dataset, hashes, seed=0)
    parts = split_records(dataset, hashes, table)
    assert {split: len(part) for split, part in parts.items()} == {"train": 80, "val": 20, "test": 20}
    assert {record.split for record in parts["test"]} == {"test"}
    assert codes(table) == ["split_filled", "split_unnamed"]


def test_unnamed_images_join_train_when_all_splits_are_named() -> None:
    dataset, hashes = made(
        [*named("train", 3), *named("val", 3, start=20), *named("test", 3, start=40), *named(None, 2, start=60)]
    )
    table = split_dataset(dataset, hashes, seed=0)
    assert len(split_records(dataset, hashes, table)["train"]) == 10
    assert codes(table) == ["split_unnamed"]


def test_no_train_is_refused() -> None:
    dataset, hashes = made([*named("val", 3), *named("test", 3, start=20)])
    with pytest.raises(BadData, match="names the splits test, val but no image for train"):
        split_dataset(dataset, hashes, seed=0)


def test_copies_across_named_splits_leave_the_stricter_one() -> None:
    images = [*named("train", 4), *named("val", 4, start=20), *named("test", 4, start=40)]
    images += [("a", "a40", None, "train"), ("a", "a20", None, "train"), ("b", "b41", None, "val")]
    dataset, hashes = made(images)
    table = split_dataset(dataset, hashes, seed=0)
    parts = split_records(dataset, hashes, table)
    assert {split: len(part) for split, part in parts.items()} == {"train": 8, "val": 8, "test": 8}
    contents = {split: {hashes[record.key] for record in part} for split, part in parts.items()}
    assert not contents["train"] & contents["test"]
    assert len(table.set_aside) == 3
    assert codes(table) == ["duplicate_across_splits"]
    assert "3 pictures lie in several of the splits" in table.problems[0].message


def test_a_group_across_named_splits_is_said() -> None:
    images = [*named("train", 4), *named("val", 4, start=20), *named("test", 4, start=40)]
    images += [("a", "x", "coil 7", "train"), ("a", "y", "coil 7", "test")]
    dataset, hashes = made(images)
    table = split_dataset(dataset, hashes, seed=0)
    assert codes(table) == ["group_across_splits"]
    assert "coil 7" in table.problems[0].message


def test_images_the_table_does_not_know_are_in_no_split() -> None:
    dataset, hashes = plain({"a": 20, "b": 20})
    table = split_dataset(dataset, hashes, seed=0)
    larger, more_hashes = plain({"a": 25, "b": 20})
    assert sum(map(len, split_records(larger, more_hashes, table).values())) == 40


def test_a_saved_table_comes_back(tmp_path: Path) -> None:
    images = [*named("train", 4), *named("test", 4, start=40), ("a", "a40", None, "train")]
    dataset, hashes = made([*images])
    table = split_dataset(dataset, hashes, seed=3)
    table.save(tmp_path / "split.json")
    assert SplitTable.load(tmp_path / "split.json") == table


def test_a_changed_table_is_refused(tmp_path: Path) -> None:
    dataset, hashes = plain({"a": 5, "b": 5})
    path = tmp_path / "split.json"
    split_dataset(dataset, hashes, seed=0).save(path)
    data = json.loads(path.read_text(encoding="utf-8"))
    first = next(iter(data["assignment"]))
    data["assignment"][first] = "test" if data["assignment"][first] != "test" else "train"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(BadData, match="was changed after it was frozen"):
        SplitTable.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", '{"hash": "x"'])
def test_what_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match="is not a split table"):
        SplitTable.load(path)


def test_a_missing_table_and_a_wrong_split_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="cannot be read"):
        SplitTable.load(tmp_path / "missing.json")
    wrong = {"hash": "", "seed": 0, "fractions": [0.64, 0.16, 0.2], "assignment": {"00": "tset"}}
    (tmp_path / "split.json").write_text(json.dumps(wrong), encoding="utf-8")
    with pytest.raises(BadConfig, match="tset"):
        SplitTable.load(tmp_path / "split.json")
