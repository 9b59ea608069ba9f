"""Gives batch norms statistics of their own again, without changing what the network computes.

Weights whose batch norm was folded into the convolutions come with batch norms that do nothing: mean 0, variance 1.
Trained as they are, they would normalise what was never meant to be normalised and destroy the features; frozen, the
network has no normalisation left to train with. Here the true statistics of each batch norm's input are measured on
the user's photos and written into it, and its scale and shift are set so that its output stays exactly what it was.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def refit_batch_norms(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Measures the input statistics of every 2-D batch norm and writes them into it, keeping its output as it is.

    Args:
        model: left in evaluation mode.
        batches: what the model takes; a few hundred images are enough.

    Returns:
        How many batch norms were refitted.
    """
    moments = {
        module: _Moments(module.num_features) for module in model.modules() if isinstance(module, nn.BatchNorm2d)
    }
    hooks = [module.register_forward_pre_hook(moment.see) for module, moment in moments.items()]
    model.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    refitted = 0
    for module, moment in moments.items():
        if moment.count:
            _rewrite(module, moment)
            refitted += 1
    return refitted


class _Moments:
    """Running sums of a batch norm's input, per channel, in double precision."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.sum_c = torch.zeros(channels, dtype=torch.float64)
        self.square_c = torch.zeros(channels, dtype=torch.float64)

    def see(self, _module: nn.Module, given: tuple[Tensor, ...]) -> None:
        x_bchw = given[0].float()
        self.count += x_bchw.numel() // x_bchw.shape[1]
        self.sum_c += x_bchw.sum(dim=(0, 2, 3)).double().cpu()
        self.square_c += x_bchw.square().sum(dim=(0, 2, 3)).double().cpu()


def _rewrite(module: nn.BatchNorm2d, moment: _Moments) -> None:
    """New statistics, and the scale and shift under which the output is unchanged."""
    if module.running_mean is None or module.running_var is None or not module.affine:
        return
    device = module.weight.device
    mean_c = (moment.sum_c / moment.count).to(device)
    var_c = (moment.square_c / moment.count).to(device) - mean_c.square()
    var_c = var_c.clamp_min(0)
    with torch.no_grad():
        gain_c = module.weight.double() / (module.running_var.double() + module.eps).sqrt()
        shift_c = module.bias.double() - gain_c * module.running_mean.double()
        module.running_mean.copy_(mean_c)
        module.running_var.copy_(var_c)
        module.weight.copy_(gain_c * (var_c + module.eps).sqrt())
        module.bias.copy_(shift_c + gain_c * mean_c)
