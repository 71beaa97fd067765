"""How a pair is mixed: images, labels, and the labels' share where it differs from the images'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcbench.methods.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def mix_images(images: Tensor, partners: Tensor, coefficients: Tensor) -> Tensor:
    """Convex combinations of images and their partners.

    Parameters
    ----------
    images : [batch, channels, height, width]
    partners : int64 [batch]
    coefficients : [batch]
        The share of the image itself.
    """
    share = coefficients.view(-1, 1, 1, 1)
    return share * images + (1 - share) * images[partners]


def mixed_labels(
    labels: Tensor, partner_labels: Tensor, coefficients: Tensor, num_classes: int
) -> Tensor:
    """Soft labels [batch, classes] of the pairs; rows sum to one, also within a class."""
    classes = torch.arange(num_classes, device=labels.device)
    share = coefficients.unsqueeze(1)
    own, other = labels.unsqueeze(1) == classes, partner_labels.unsqueeze(1) == classes
    return share * own + (1 - share) * other


def remix_label_coefficients(
    labels: Tensor,
    partner_labels: Tensor,
    coefficients: Tensor,
    class_counts: Tensor,
    *,
    kappa: float,
    tau: float,
) -> Tensor:
    """The labels' share under Remix, which favors the rarer class of a pair.

    With n the class counts and l the images' share: 0 where n_i / n_j >= kappa and l < tau,
    1 where n_i / n_j <= 1 / kappa and 1 - l < tau, and l otherwise (Chou et al. 2020,
    arXiv 2007.03943, equation 5).
    """
    own, other = class_counts[labels], class_counts[partner_labels]
    to_partner = (own / other >= kappa) & (coefficients < tau)
    to_image = (other / own >= kappa) & (1 - coefficients < tau)
    shares = coefficients.masked_fill(to_partner, 0.0)
    return shares.masked_fill(to_image, 1.0)


_STEPS = 1 << 20


def mixed_class_ids(
    labels: Tensor, partner_labels: Tensor, coefficients: Tensor, num_classes: int
) -> Tensor:
    """One integer for each mixed class [batch]: equal where two pairs ask for the same class.

    (a, b, l) and (b, a, 1 - l) are one class, and so are all mixtures within a class. Coefficients
    are compared in steps of 2**-20.
    """
    steps = (coefficients.double() * _STEPS).round().long()
    low = torch.minimum(labels, partner_labels)
    high = torch.maximum(labels, partner_labels)
    steps_of_low = torch.where(labels <= partner_labels, steps, _STEPS - steps)
    is_low = (low == high) | (steps_of_low == _STEPS)
    is_high = steps_of_low == 0
    first = torch.where(is_high & ~is_low, high, low)
    second = torch.where(is_low, low, high)
    steps_of_first = torch.where(is_low | is_high, _STEPS, steps_of_low)
    return (first * num_classes + second) * (_STEPS + 1) + steps_of_first
