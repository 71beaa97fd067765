"""Detectors that are fitted after training, by the package pytorch-ood, as one table.

Each is fitted on the training images alone, never on an OOD set, with the settings of its paper
where they do not depend on one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dcbench.errors import UsageError
from dcbench.runs.representations import Representation, Tap
from dcbench.training.precision import arithmetic


class NotApplicable(Exception):  # noqa: N818 - a state of a network
    """The network has not what a detector looks at; the message says what."""


@dataclass(frozen=True, eq=False)
class Fitting:
    """What a detector may be fitted on, and look at.

    Attributes
    ----------
    fit, labels
        The training images: representation, and labels int64 [N].
    settings : dict
        What the detector was made with, for the record.
    """

    tap: Tap
    fit: Representation
    labels: Tensor
    settings: dict[str, Any]

    @property
    def features(self) -> Tensor:
        """Features of the training images."""
        return features_of(self.fit)

    @property
    def head(self) -> nn.Module:
        """The last layer."""
        if self.tap.head is None:
            raise NotApplicable("the network has no last layer `fc`")
        return self.tap.head

    def head_logits(self, features: Tensor) -> Tensor:
        """Logits [N, classes] of features by the last layer, in the recipe's precision."""
        with arithmetic(self.tap.trained.record.recipe, features.device):
            logits: Tensor = self.head(features)
        return logits.float()


def features_of(representation: Representation) -> Tensor:
    """The features, or `NotApplicable`."""
    if representation.features is None:
        raise NotApplicable("the network has no last layer `fc`")
    return representation.features


Scorer = Callable[[Representation, NDArray[np.uint8]], Tensor]
"""Outlier scores [N], larger for foreign images, of their representation and pixels."""


def _energy(given: Fitting) -> Scorer:
    from pytorch_ood.detector import EnergyBased

    detector = EnergyBased(None, t=1.0)
    given.settings["t"] = 1.0
    return lambda seen, images: detector.predict_logits(seen.logits)


def _kl_matching(given: Fitting) -> Scorer:
    from pytorch_ood.detector import KLMatching

    detector = KLMatching(None).fit_logits(given.fit.logits, given.labels)
    return lambda seen, images: detector.predict_logits(seen.logits)


def _mahalanobis(given: Fitting) -> Scorer:
    from pytorch_ood.detector import Mahalanobis

    present = torch.unique(given.labels)
    if len(present) != int(present.max()) + 1:
        raise NotApplicable("a class has no training image")
    detector = Mahalanobis(None).fit_features(given.features, given.labels)
    return lambda seen, images: detector.predict_features(features_of(seen))


def _knn(given: Fitting) -> Scorer:
    from pytorch_ood.detector import KNN

    neighbors = min(50, len(given.labels))
    given.settings["k"] = neighbors
    detector = KNN(None, k=neighbors).fit_features(given.features.cpu(), given.labels.cpu())
    return lambda seen, images: detector.predict_features(features_of(seen).cpu())


def _vim(given: Fitting) -> Scorer:
    from pytorch_ood.detector import ViM

    head = given.head
    if not isinstance(head, nn.Linear):
        raise NotApplicable(f"its last layer is {type(head).__name__} and not linear")
    bias = torch.zeros(len(head.weight)) if head.bias is None else head.bias.detach()
    weight = head.weight.detach()
    dimensions = weight.shape[1] // 2
    given.settings["d"] = dimensions
    detector = ViM(None, dimensions, weight, bias.to(weight.device))
    detector.fit_features(given.features, given.labels)
    return lambda seen, images: detector.predict_features(features_of(seen))


def _react(given: Fitting) -> Scorer:
    from pytorch_ood.detector import ReAct

    given.settings["percentile"] = 0.9
    detector = ReAct(nn.Identity(), given.head_logits, percentile=0.9)
    detector.fit_feature_maps(given.features, given.labels)
    given.settings["threshold"] = detector.threshold
    return lambda seen, images: detector.predict_feature_maps(features_of(seen))


def _odin(given: Fitting) -> Scorer:
    from pytorch_ood.detector import ODIN

    tap, settings = given.tap, {"eps": 0.0014, "temperature": 1000.0}
    given.settings.update(settings)
    deviations = tap.trained.std.tolist()
    detector = ODIN(tap.logits, norm_std=deviations, **settings)
    return lambda seen, images: torch.cat([detector.predict(b) for b in tap.batches(images)])


DETECTORS: dict[str, Callable[[Fitting], Scorer]] = {
    "energy": _energy,
    "kl-matching": _kl_matching,
    "mahalanobis": _mahalanobis,
    "knn": _knn,
    "vim": _vim,
    "react": _react,
    "odin": _odin,
}
"""By name: from what it is fitted on to its scores."""

FITTED = frozenset(DETECTORS) - {"energy", "odin"}
"""Those that learn from the training images."""


def require_pytorch_ood() -> None:
    """Refuse to go on without the package, and say how to get it."""
    try:
        import pytorch_ood  # noqa: F401
    except ImportError:
        raise UsageError(
            "detectors need the package pytorch-ood 0.4 or newer: pip install "
            "'dcbench-vision[posthoc]'"
        ) from None
