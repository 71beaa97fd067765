"""What every method promises, tried on a method: a third party's as well as dcbench's own.

Trainings of a few steps of a small network on random images; no data is needed.
"""

from __future__ import annotations

import copy
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dcbench.config.recipe import Recipe
from dcbench.draws import stream
from dcbench.errors import DcbenchError
from dcbench.methods import Batch, Method, build_method
from dcbench.methods.failures import named
from dcbench.methods.ranges import declared_ranges
from dcbench.training.augment import DeviceImages
from dcbench.training.ending import finish_training, predict_by_method
from dcbench.training.loop import Training, train_together
from dcbench.training.recording import (
    READS_BACK,
    Recording,
    as_on_a_gpu,
    train_by_recordings,
    train_by_steps,
)
from dcbench.training.trainer import Trainer

CLASSES = (2, 10, 100)
_BATCH, _IMAGES, _SIZE = 8, 17, 32
"""Two whole batches, and a last one of a single image."""

_RECIPE = Recipe.model_validate(
    {
        "model": "wrn-10-1",
        "epochs": 2,
        "batch_size": _BATCH,
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "cosine",
        "padding": 2,
        "flip": True,
    }
)
_MEAN, _STD = np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32)
_CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
_DATES = {"now", "utcnow", "today"}


class Finding(NamedTuple):
    """A promise, whether it holds, and what broke it."""

    promise: str
    kept: bool
    detail: str = ""


@dataclass(frozen=True)
class _Promise:
    title: str
    check: Callable[[Method], str | None]


def check_method(method: Method) -> list[Finding]:
    """Try every promise of a method's contract; one that fails does not hide the others."""
    findings = []
    for promise in _PROMISES:
        try:
            with named(method):
                broken = promise.check(method)
        except DcbenchError as problem:
            broken = str(problem)
        findings.append(Finding(promise.title, broken is None, broken or ""))
    return findings


def relative_cost(method: Method, steps: int = 6) -> float:
    """Images per second as a share of erm's, in turns in this process."""
    trainers = [_trainer(each, 10, images=64) for each in (method, build_method("erm", {}))]
    seconds: list[list[float]] = [[], []]
    for trainer in trainers:
        trainer.measure_step(1)
    for _ in range(steps):
        for taken, trainer in zip(seconds, trainers, strict=True):
            taken.append(trainer.measure_step(1).seconds)
    return min(seconds[1]) / min(seconds[0])


def _trainer(
    method: Method, num_classes: int, *, images: int = _IMAGES, seed: int = 0, **changes: Any
) -> Trainer:
    labels = np.arange(images) % num_classes
    on_device = DeviceImages(
        _pixels(images),
        mean=_MEAN,
        std=_STD,
        device=torch.device("cpu"),
        padding=_RECIPE.padding,
    )
    recipe = _RECIPE.model_copy(update=changes)
    return Trainer(on_device, labels, num_classes, method, recipe, seed)


def _pixels(images: int) -> NDArray[np.uint8]:
    drawn = stream(0, "contract").randint(256, size=(images, _SIZE, _SIZE, 3))
    return drawn.astype(np.uint8)


def _train(trainer: Trainer) -> dict[str, Tensor]:
    """The weights after training, and after what the method does then."""
    for failure in train_together({0: Training(trainer)}).values():
        raise failure
    finish_training(trainer, _pixels(trainer.num_images), _MEAN, _STD)
    return {key: value.clone() for key, value in trainer.network.state_dict().items()}


def _logits(trainer: Trainer) -> Tensor:
    """Of three images, as a run predicts them."""
    return torch.from_numpy(predict_by_method(trainer, _pixels(3), _MEAN, _STD))


def _difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> str | None:
    for key, value in one.items():
        if not torch.equal(value, other[key]):
            return f"{key} differs by up to {(value - other[key]).abs().max():.3g}"
    return None


def _every_shape(method: Method) -> str | None:
    for num_classes in CLASSES:
        trainer = _trainer(method, num_classes)
        weights = _train(trainer)
        if not all(torch.isfinite(value).all() for value in weights.values()):
            return f"weights that are not finite with {num_classes} classes"
        logits = _logits(trainer)
        if tuple(logits.shape) != (3, num_classes):
            return f"logits {list(logits.shape)} of 3 images and {num_classes} classes"
    return None


def _low_precision(method: Method) -> str | None:
    trainer = _trainer(method, 10, precision="bf16")
    weights = _train(trainer)
    finite = all(torch.isfinite(value).all() for value in weights.values())
    return None if finite else "weights that are not finite under bfloat16"


def _reaches_all(method: Method) -> str | None:
    trainer = _trainer(method, 10)
    trainer.load(0)
    trainer.train_step.take(_BATCH)
    unreached = [
        name
        for name, weight in trainer.network.named_parameters()
        if weight.requires_grad and (weight.grad is None or not weight.grad.abs().max() > 0)
    ]
    if not unreached:
        return None
    return f"no gradient reaches {', '.join(unreached)}: freeze them (requires_grad_(False))"


def _no_global_draws(method: Method) -> str | None:
    trainer = _trainer(method, 10)
    _train(trainer)
    _logits(trainer)
    names = sorted(trainer.progress.global_draws)
    return f"draws from the generator of {', '.join(names)}" if names else None


def _batch_is_kept(method: Method) -> str | None:
    changed: list[str] = []

    class Watched(type(method)):  # type: ignore[misc]
        def backward(self, network: Any, batch: Batch) -> Tensor:
            before = {name: value.clone() for name, value in _tensors(batch)}
            loss: Tensor = super().backward(network, batch)
            changed.extend(
                name for name, value in _tensors(batch) if not torch.equal(value, before[name])
            )
            return loss

    trainer = _trainer(Watched.model_construct(**dict(method)), 10)
    _train(trainer)
    names = sorted(set(changed))
    return f"changes batch.{', batch.'.join(names)} in place" if names else None


def _tensors(batch: Batch) -> Iterator[tuple[str, Tensor]]:
    for each in fields(batch):
        value = getattr(batch, each.name)
        if isinstance(value, Tensor):
            yield each.name, value
    for name, value in batch.draws.items():
        yield f"draws[{name!r}]", value


def _repeats(method: Method) -> str | None:
    trainers = [_trainer(method, 10) for _ in range(2)]
    first, again = ({**_train(each), "logits": _logits(each)} for each in trainers)
    difference = _difference(first, again)
    return f"trained again from the same seed, {difference}" if difference else None


def _second_as_first(method: Method) -> str | None:
    alone = _train(_trainer(method, 10, seed=1))
    trainer = _trainer(method, 10, seed=0)
    _train(trainer)
    if method.stages:
        return None
    trainer.begin_again(seed=1)
    difference = _difference(alone, _train(trainer))
    return f"as the second run of a process, {difference}" if difference else None


def _resumes(method: Method) -> str | None:
    whole = _train(_trainer(method, 10))
    cut = _trainer(method, 10)
    for number, _ in enumerate(cut.events()):
        if number == 4:
            break
    stored = io.BytesIO()
    torch.save(cut.state(), stored)
    stored.seek(0)
    resumed = _trainer(method, 10)
    resumed.restore(torch.load(stored, weights_only=True))
    difference = _difference(whole, _train(resumed))
    return f"resumed from a checkpoint, {difference}" if difference else None


def _no_state_elsewhere(method: Method) -> str | None:
    module = sys.modules.get(type(method).__module__)
    places = {f"class {each.__name__}": each for each in type(method).__mro__ if _is_own(each)}
    before = {title: _snapshot(vars(each)) for title, each in places.items()}
    own = _snapshot(vars(module)) if module and _is_third_party(module.__name__) else {}
    _train(_trainer(method, 10))
    for title, each in places.items():
        for name in _changed(before[title], _snapshot(vars(each))):
            return f"keeps state in {name} of {title}: a buffer of the network is the place for it"
    if own and module:
        for name in _changed(own, _snapshot(vars(module))):
            return f"keeps state in {name} of its module: a buffer of the network is the place"
    return None


def _is_own(each: type) -> bool:
    return issubclass(each, Method) and each is not Method


def _is_third_party(module: str) -> bool:
    return not module.startswith(("dcbench.", "builtins"))


def _snapshot(values: Any) -> dict[str, Any]:
    plain = (int, float, str, list, dict, set, Tensor, np.ndarray)
    return {
        name: copy.deepcopy(value)
        for name, value in dict(values).items()
        if isinstance(value, plain) and not name.startswith("__") and "pydantic" not in name
    }


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [
        name
        for name, value in after.items()
        if name not in before or repr(before[name]) != repr(value)
    ]


def _reads_no_clock(method: Method) -> str | None:
    seen: set[str] = set()

    def watch(frame: FrameType, event: str, function: Any) -> None:
        if event != "c_call":
            return
        name, module = getattr(function, "__name__", ""), getattr(function, "__module__", None)
        owner = getattr(getattr(function, "__self__", None), "__name__", "")
        if (module == "time" and name in _CLOCKS) or (
            owner in ("datetime", "date") and name in _DATES
        ):
            seen.add(f"{module or owner}.{name}")

    trainer = _trainer(method, 10)
    trainer.load(0)
    trainer.train_step.take(_BATCH)  # what is imported or compiled at first may look at the clock
    sys.setprofile(watch)
    try:
        trainer.train_step.take(_BATCH)
    finally:
        sys.setprofile(None)
    return f"reads the clock: {', '.join(sorted(seen))}" if seen else None


def _is_capturable(method: Method) -> str | None:
    if not method.capturable:
        return None
    trainer = as_on_a_gpu(_trainer(method, 10))
    trainer.load(0)
    with Recording() as recording:
        trainer.train_step.take(_BATCH)
    read = recording.names & READS_BACK
    if read:
        return f"reads values back to the host ({', '.join(sorted(read))}); say capturable = False"
    taken, replayed = (as_on_a_gpu(_trainer(method, 10)) for _ in range(2))
    train_by_steps(taken)
    train_by_recordings(replayed)
    difference = _difference(dict(taken.network.state_dict()), dict(replayed.network.state_dict()))
    if difference:
        return f"steps that are replayed are others ({difference}); say capturable = False"
    return None


def _ranges_are_sound(method: Method) -> str | None:
    declared_ranges(type(method))  # an error says which is not
    return None


_PROMISES = (
    _Promise("trains with 2, 10 and 100 classes, and a last batch of one image", _every_shape),
    _Promise("trains in bfloat16", _low_precision),
    _Promise("its gradient reaches every weight that learns", _reaches_all),
    _Promise("draws from no generator of the process", _no_global_draws),
    _Promise("leaves the batch as it is", _batch_is_kept),
    _Promise("reads no clock", _reads_no_clock),
    _Promise("keeps no state outside the network", _no_state_elsewhere),
    _Promise("ends with the same weights when it is trained again", _repeats),
    _Promise("ends with the same weights as the second run of a process", _second_as_first),
    _Promise("ends with the same weights after a kill and a resume", _resumes),
    _Promise("its step may be captured, if it says so", _is_capturable),
    _Promise("is searched within bounds or among choices of its settings", _ranges_are_sound),
)
