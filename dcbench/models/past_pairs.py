"""A queue of mixed pairs of earlier batches, as buffers of a network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class PastPairs(nn.Module):
    """The last pairs that were pushed, the oldest overwritten first.

    Parameters
    ----------
    size : int
        How many pairs are kept.
    num_classes : int

    Attributes
    ----------
    logits : float32 [size, classes]
        Of the mixed images, when they were pushed.
    labels, partner_labels : int64 [size]
    shares : float32 [size]
        Of the label itself in the mixed label.
    pushed : int64 []
        Number of pairs that were ever pushed.
    """

    logits: Tensor
    labels: Tensor
    partner_labels: Tensor
    shares: Tensor
    pushed: Tensor

    def __init__(self, size: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("logits", torch.zeros(size, num_classes))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("partner_labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("shares", torch.ones(size))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Return the input: a network that is a `torch.nn.Sequential` calls all of its modules."""
        return x

    @property
    def pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Labels, partners' labels and shares of the places, those not yet filled included."""
        return self.labels, self.partner_labels, self.shares

    def masked(self, scores: Tensor, dim: int) -> Tensor:
        """Scores with one dimension of places, -inf in those that are not yet filled."""
        filled = torch.arange(len(self.labels), device=scores.device) < self.pushed
        return scores.masked_fill(~(filled if dim == 1 else filled.unsqueeze(1)), -math.inf)

    @torch.no_grad()
    def push(self, logits: Tensor, labels: Tensor, partner_labels: Tensor, shares: Tensor) -> None:
        """Let a batch of pairs join; of one larger than the queue, the last pairs.

        Parameters
        ----------
        logits : [batch, classes]
        labels, partner_labels : int64 [batch]
        shares : [batch]
        """
        number = min(len(labels), len(self.labels))
        places = (self.pushed + torch.arange(number, device=labels.device)) % len(self.labels)
        for buffer, values in (
            (self.logits, logits),
            (self.labels, labels),
            (self.partner_labels, partner_labels),
            (self.shares, shares),
        ):
            buffer.index_copy_(0, places, values[-number:].to(buffer.dtype))
        self.pushed += number
