"""A trained network, as it was when its run ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor, nn

from dcbench.config.progress import NoProgress, ProgressTask
from dcbench.config.text import in_brief
from dcbench.data.catalogue import get_dataset
from dcbench.data.load import load_images
from dcbench.data.source import open_source
from dcbench.data.splits import Split, load_split
from dcbench.errors import DataError, RunError, UsageError
from dcbench.methods import Method, Task, build_method, method_class, method_names
from dcbench.models.registry import find_model, model_origin, third_party_builder
from dcbench.records.files import read_record, read_stored
from dcbench.records.schema import Record
from dcbench.training.augment import normalization_statistics
from dcbench.training.precision import arithmetic
from dcbench.training.predict import predict
from dcbench.training.stages import new_network

_READERS = {"method": "methods.method_class", "model": "models.find_model"}


class TrainedNetwork(nn.Module):
    """The network of a run with the method's way to predict and the recipe's normalization.

    Attributes
    ----------
    record : Record
        Of the run.
    mean, std : float32 [3]
        Of each channel, for pixels in [0, 1].
    classes : tuple of str
        Names of the classes, by label.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        method: Method,
        record: Record,
        classes: tuple[str, ...],
        mean: NDArray[np.float32],
        std: NDArray[np.float32],
    ) -> None:
        super().__init__()
        self.network, self.method, self.record, self.classes = network, method, record, classes
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("std", torch.from_numpy(std))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits [batch, classes] of images [batch, 3, height, width] with pixels in [0, 1]."""
        shape = (1, -1, 1, 1)
        normalized = (images - self.mean.view(shape)) / self.std.view(shape)
        return self.logits(normalized)

    def logits(self, normalized: Tensor) -> Tensor:
        """Logits [batch, classes] of normalized images, by passes in the recipe's precision."""
        with arithmetic(self.record.recipe, normalized.device):
            return self.method.logits(self.network, normalized).float()

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits [N, classes] of images [N, height, width, 3] as the run itself predicted them."""
        return self.predict_counted(images, NoProgress().task("predict", len(images)))

    def predict_counted(
        self, images: NDArray[np.uint8], shown: ProgressTask
    ) -> NDArray[np.float32]:
        """As `predict`; the images that are done are counted."""
        mean, std = self.mean.cpu().numpy(), self.std.cpu().numpy()
        return predict(
            *(self.network, images, mean, std, self.mean.device, shown.advance),
            logits_of=lambda network, normalized: self.logits(normalized),
        )


def load_network(run: Path, device: str) -> TrainedNetwork:
    """See `dcbench.load_model`."""
    folder = run.parent if run.is_file() else run
    record = read_record(run)
    _check_code(record)
    method = build_method(record.method, record.settings)
    split, recipe = load_split(record.split, record.subset), record.recipe
    height, width = get_dataset(split.config.dataset).image_size
    fit = split.fit_of(recipe.fit, record.index_sha256)
    task = Task((height, width), tuple(split.counts_of(fit)))
    network = new_network(method, recipe, task, record.seed)
    content = read_stored(folder, record.model)
    try:
        network.load_state_dict(load(content))
    except Exception as problem:  # whatever safetensors and PyTorch make of other bytes
        raise DataError(
            f"{folder / record.model.file}: not the weights of {record.label}: {in_brief(problem)}"
        ) from None
    mean, std = _normalization(record, split)
    trained = TrainedNetwork(network, method, record, split.config.class_names, mean, std)
    return trained.to(device)


def read_code(methods: Sequence[str], networks: Sequence[str]) -> None:
    """Run the files that define methods and networks of runs, each named as `FILE.py:Class`.

    Raises
    ------
    UsageError
        A file cannot be read or run, or does not have the class.
    """
    for location in methods:
        method_class(location)
    for location in networks:
        find_model(location)


def _check_code(record: Record) -> None:
    """Refuse code of files that was not read, or has changed: what a record names is not run.

    Raises
    ------
    UsageError
        A file was not read in this process.
    RunError
        It has another hash than the run's.
    """
    if record.method_sha256 is not None and record.method_package is None:
        known = record.method in method_names()
        found = method_class(record.method).source_sha256 if known else None
        _check_file("method", record.method, known, record.method_sha256, found)
    model = record.recipe.model
    if record.network_sha256 is not None and record.network_package is None:
        known = third_party_builder(model) is not None
        _check_file("model", model, known, record.network_sha256, model_origin(model).sha256)


def _check_file(what: str, name: str, known: bool, recorded: str, found: str | None) -> None:
    said = f"{what} '{name}' of the run is from a file with SHA-256 {recorded[:16]}…"
    if not known:
        raise UsageError(
            f"{said}, which is not run for a record's sake; read its code, then name it: "
            f"--{what} FILE.py:Class, or in Python dcbench.{_READERS[what]}('FILE.py:Class')"
        )
    if found is not None and found != recorded:
        raise RunError(f"{said}; the file that is read here has {found[:16]}…")


def _normalization(record: Record, split: Split) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The recorded constants; of a record that lacks them, computed again from the images."""
    if record.normalization is not None:
        recorded = record.normalization
        return np.array(recorded.mean, np.float32), np.array(recorded.std, np.float32)
    recipe = record.recipe
    if recipe.normalization != "split":
        return normalization_statistics(recipe.normalization, np.empty((0, 1, 1, 3), np.uint8))
    source = open_source().taking_unverified()
    fit = split.fit_of(recipe.fit, record.index_sha256)
    return normalization_statistics("split", load_images(split, source, fit=fit).fit.images)
