from typing import get_args

import pytest

from andon.core.settings import build, to_plain, with_settings
from andon.errors import BadConfig
from andon.train.config import OptimiserName, ScheduleConfig, TrainConfig, check
from andon.train.optimisers import OPTIMISERS
from andon.train.recipes import RECIPES
from andon.train.schedules import SCHEDULES


@pytest.mark.parametrize("preset", RECIPES.names())
def test_every_recipe_is_complete_and_possible(preset: str) -> None:
    recipe = RECIPES.get(preset)
    config = recipe.config()
    check(config)
    assert config.preset == preset
    assert recipe.title
    assert build(TrainConfig, to_plain(config), where="run.json") == config


def test_unknown_preset_offers_the_nearest() -> None:
    with pytest.raises(BadConfig, match=r"no preset named 'balance'\. Did you mean balanced"):
        RECIPES.get("balance")


WRONG = {
    "seed=-1": "seed: expected 0 or more, got -1",
    "seed=4294967296": "seed: expected at most 4294967295",
    "data.split_seed=-3": "data.split_seed: expected 0 or more",
    "batch_size=1": "batch_size: expected 2 or more",
    "average=1": "average: expected 0 to 1, below 1, got 1",
    "data.size_wh=[8,32]": "data.size_wh: expected 16 to 4096 pixels a side, got 8×32",
    "data.size_wh=[32,5000]": "got 32×5000",
    "data.enlarge=0": "data.enlarge: expected more than 0",
    "model.dropout=2": "model.dropout: expected 0 to 1, below 1, got 2",
    "model.drop_path=-0.1": "model.drop_path",
    "model.tap_strides=[16,0]": "model.tap_strides: expected more than 0, got 0",
    "optimiser.learning_rate=0": "optimiser.learning_rate: expected more than 0, got 0",
    "optimiser.learning_rate=-0.1": "optimiser.learning_rate",
    "optimiser.weight_decay=-1": "optimiser.weight_decay",
    "optimiser.momentum=1": "optimiser.momentum",
    "optimiser.clip_norm=-1": "optimiser.clip_norm",
    "optimiser.head_factor=-1": "optimiser.head_factor",
    "schedule.warmup=1.5": "schedule.warmup: expected 0 to 1, got 1.5",
    "schedule.every=0": "schedule.every",
    "schedule.power=0": "schedule.power",
    "loss.label_smoothing=1": "loss.label_smoothing",
    "budget.epochs=-1": "budget.epochs: expected 1 or more, got -1",
    "budget.epochs=0": "budget.epochs",
    "budget.images_seen=0": "budget.images_seen",
    "budget.patience=-1": "budget.patience",
    "budget.time_limit_s=0": "budget.time_limit_s: expected more than 0",
}


@pytest.mark.parametrize(("setting", "said"), WRONG.items())
def test_impossible_value(setting: str, said: str) -> None:
    with pytest.raises(BadConfig) as refusal:
        check(with_settings(TrainConfig(), [setting]))
    assert len(refusal.value.problems) == 1
    assert said in str(refusal.value)


def test_all_impossible_values_at_once() -> None:
    some = ["seed=-1", "model.dropout=2", "budget.epochs=-1", "optimiser.learning_rate=0", "data.size_wh=[1,1]"]
    with pytest.raises(BadConfig) as refusal:
        check(with_settings(TrainConfig(), some))
    assert len(refusal.value.problems) == len(some)


def test_limits_themselves_are_possible() -> None:
    limits = ["seed=0", "schedule.warmup=1", "schedule.final=0", "budget.epochs=1", "data.size_wh=[16,16]"]
    check(with_settings(TrainConfig(), limits))


def test_unknown_and_wrong_settings_are_told_together() -> None:
    wrong = ["optimizer.name=sgd", "budget.epoch=3", "model.layers=7+", "optimiser.name=adamv", "batch_size=many", "x"]
    with pytest.raises(BadConfig) as refusal:
        with_settings(TrainConfig(), wrong)
    said = "\n".join(refusal.value.problems)
    assert len(refusal.value.problems) == len(wrong)
    assert "--set optimizer.name: there is no such setting. Did you mean optimiser.name" in said
    assert "Did you mean budget.epochs" in said
    assert "'heads', '5+', '4+', '3+', 'all', got '7+'" in said
    assert "'adamw'" in said
    assert "expected a whole number, got 'many'" in said
    assert "expected key=value" in said


def test_names_in_the_config_are_those_that_exist() -> None:
    assert set(get_args(OptimiserName)) == OPTIMISERS.keys()
    assert {ScheduleConfig(name=name).name for name in SCHEDULES} == SCHEDULES.keys()  # type: ignore[arg-type]
    for name in SCHEDULES:
        with_settings(TrainConfig(), [f"schedule.name={name}"])
