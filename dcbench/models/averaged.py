"""A network beside an average of its weights, and batch statistics that are taken anew."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from contextlib import ExitStack

import torch
from torch import Tensor, nn


class AveragedNetwork(nn.Module):
    """A network that is trained, and an average of its weights, which is not.

    Attributes
    ----------
    network : nn.Module
        What is trained and what the module computes.
    average : nn.Module
        Of the same form; its weights are buffers.
    joined : float32 []
        How often weights have joined the average.
    epoch : int64 []
        The epoch of the last step.
    """

    joined: Tensor
    epoch: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.average = with_weights_as_buffers(copy.deepcopy(network))
        self.register_buffer("joined", torch.zeros(()))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        """Logits by the weights that are trained."""
        logits: Tensor = self.network(images)
        return logits

    @torch.no_grad()
    def join(self, share: Tensor) -> None:
        """Move the average to the weights by a share [] of the way; 1 copies them.

        Running statistics are copied, as `torch.optim.swa_utils.AveragedModel` does by default.
        """
        average = dict(self.average.named_buffers())
        for name, value in self.network.named_parameters():
            average[name].lerp_(value, share.to(value.dtype))
        for name, statistics in self.network.named_buffers():
            average[name].copy_(statistics)


def with_weights_as_buffers(network: nn.Module) -> nn.Module:
    """The network itself, whose parameters are buffers from now on: nothing trains them."""
    for module in network.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, value.detach())
    return network


@torch.no_grad()
def update_batch_statistics(network: nn.Module, images: Iterable[Tensor]) -> None:
    """Set the running statistics of every batch normalization to means over batches of images.

    As `torch.optim.swa_utils.update_bn`, which knows PyTorch's own layers alone: each batch counts
    as much as another, and variances are the unbiased ones within batches. A layer that no pass
    reaches keeps its statistics.
    """
    layers = [each for each in network.modules() if _has_running_statistics(each)]
    seen: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in layers}

    def note(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        channels = [*args, *kwargs.values()][0].transpose(0, 1).flatten(1)
        seen[layer].append((channels.mean(dim=1), channels.var(dim=1)))

    modes = {module: module.training for module in network.modules()}
    network.train()
    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_pre_hook(note, with_kwargs=True).remove)
        for batch in images:
            network(batch)
    for module, mode in modes.items():
        module.training = mode
    for layer, noted in seen.items():
        if not noted:  # no pass reaches it
            continue
        means, variances = zip(*noted, strict=True)
        layer.get_buffer("running_mean").copy_(torch.stack(means).mean(dim=0))
        layer.get_buffer("running_var").copy_(torch.stack(variances).mean(dim=0))


def _has_running_statistics(module: nn.Module) -> bool:
    return isinstance(getattr(module, "running_mean", None), Tensor)
