import pytest
import torch
from tests.models.networks import classifier

from andon.models.stages import freeze
from andon.train.config import OptimiserConfig, OptimiserName
from andon.train.optimisers import OPTIMISERS, make_optimiser, set_rate


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
def test_every_optimiser_lowers_a_loss(name: OptimiserName) -> None:
    model = classifier("test_resnet")
    freeze(model, "heads")  # a convex problem, so every step of a small rate goes down
    rate = {"adadelta": 1.0}.get(name, 1e-3)
    optimiser = make_optimiser(model, OptimiserConfig(name=name, learning_rate=rate))
    pixels = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 0])
    losses: list[float] = []
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(model(pixels), targets)
        losses.append(loss.item())
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    assert losses[-1] < losses[0]


def test_only_matrices_decay() -> None:
    model = classifier("test_resnet")
    optimiser = make_optimiser(model, OptimiserConfig(weight_decay=0.3))
    decay_of = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert len(decay_of) == len(list(model.parameters()))
    for parameter in model.parameters():
        assert decay_of[id(parameter)] == (0.3 if parameter.ndim > 1 else 0.0)


def test_frozen_parts_are_left_out_and_the_head_has_its_own_rate() -> None:
    model = classifier("test_resnet")
    freeze(model, "5+")
    optimiser = make_optimiser(model, OptimiserConfig(learning_rate=0.1, head_factor=5))
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert rates.keys() == {id(p) for p in model.parameters() if p.requires_grad}
    assert rates[id(model.head.weight)] == pytest.approx(0.5)
    assert {rates[id(p)] for p in model.backbone.parameters() if p.requires_grad} == {0.1}
    set_rate(optimiser, 0.5)
    assert sorted({group["lr"] for group in optimiser.param_groups}) == pytest.approx([0.05, 0.25])
    set_rate(optimiser, 1.0)  # of the highest, not of the last
    assert sorted({group["lr"] for group in optimiser.param_groups}) == pytest.approx([0.1, 0.5])
