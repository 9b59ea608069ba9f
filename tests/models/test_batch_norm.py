import torch
from torch import nn

from andon.models.batch_norm import refit_batch_norms


def folded_network(seed: int) -> nn.Sequential:
    """Convolutions whose batch norms do nothing, as in weights with folded batch norm."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, groups=4), nn.BatchNorm2d(4)
    )
    return network.eval()


def test_the_output_stays_and_the_statistics_become_true() -> None:
    network = folded_network(1)
    photos = torch.rand(64, 3, 16, 16) * 4
    before = network(photos)
    assert refit_batch_norms(network, torch.chunk(photos, 4)) == 2
    torch.testing.assert_close(network(photos), before, atol=1e-5, rtol=1e-4)
    first = network[1]
    assert isinstance(first, nn.BatchNorm2d)
    seen = network[0](photos)
    assert first.running_mean is not None
    assert first.running_var is not None
    torch.testing.assert_close(first.running_mean, seen.mean(dim=(0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(first.running_var, seen.var(dim=(0, 2, 3), unbiased=False), atol=1e-4, rtol=1e-3)


def test_training_mode_then_gives_nearly_the_same_features() -> None:
    network, photos = folded_network(2), torch.rand(64, 3, 16, 16) * 4
    untouched = network(photos).detach()
    spoiled = (network.train()(photos) - untouched).abs().mean()
    network = folded_network(2)
    refit_batch_norms(network, torch.chunk(photos, 4))
    kept = (network.train()(photos) - untouched).abs().mean()
    assert kept < 0.02 * spoiled


def test_a_network_without_photos_or_batch_norm_is_left_alone() -> None:
    network = folded_network(3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert refit_batch_norms(network, []) == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert refit_batch_norms(nn.Sequential(nn.Conv2d(3, 4, 1)), [torch.rand(2, 3, 4, 4)]) == 0
