"""A run after its training: predict, measure, and write it all down, the record last."""

from __future__ import annotations

import logging
import time

import torch
from safetensors.torch import save as safetensors_bytes

from dcbench.config.keep import Weights
from dcbench.config.progress import NoProgress, Progress
from dcbench.config.text import in_brief
from dcbench.data.parts import ImageSet
from dcbench.draws import NUMERICS
from dcbench.metrics.measure import measure
from dcbench.records import files
from dcbench.records.schema import Cost, ImagesUsed, Normalization, Record
from dcbench.records.sets import missing_departure
from dcbench.runs.flops import BACKWARD_AND_FORWARD, count_flops
from dcbench.runs.machine import describe_environment, device_title, peak_memory_bytes
from dcbench.runs.prepare import ReadyRun, now
from dcbench.training import ending
from dcbench.training.predict import predict_split

_log = logging.getLogger(__name__)


def finish(
    run: ReadyRun, progress: Progress | None = None, *, weights: Weights | None = None
) -> Record:
    """The record of a run whose training is at its end, when all its files are written.

    Parameters
    ----------
    weights
        Whether they are kept; by default as the protocol says.

    Raises
    ------
    RunError
        The network gives logits that are not finite, or a file cannot be written.
    """
    plan, images, config = run.plan, run.data.images, run.plan.split.config
    shown = (progress or NoProgress()).task("predict", run.data.num_predicted, unit="images")
    began = time.monotonic()
    finish_training(run)
    try:
        predictions = predict_split(lambda pixels: run.predict(pixels, shown), images)
    finally:
        shown.close()
    metrics = measure(predictions, long_tailed=config.long_tailed, ood_sets=config.ood)
    cost = _cost(run, time.monotonic() - began)
    files.write_history(run.folder, run.trainer.progress.history)
    stored = files.write_predictions(run.folder, predictions)
    keep = (weights or plan.protocol.weights) == "keep"
    model = files.write_weights(run.folder, _weights(run), keep=keep)
    departures = (*plan.departures, *_missing_and_needed(run), *_drawn_from_elsewhere(run))
    record = Record(
        **plan.identity.configuration.model_dump(mode="json"),
        status="custom" if departures else "protocol",
        departures=departures,
        method_package=plan.choice.method.distribution,
        network_package=plan.choice.network.package,
        tuned=plan.choice.tuned,
        label=plan.choice.label,
        data=_images_used(run),
        normalization=Normalization(mean=run.data.mean.tolist(), std=run.data.std.tolist()),
        missing=images.missing_ood,
        metrics=metrics,
        predictions=stored,
        model=model,
        initial_weights=run.trainer.initial,
        numerics=NUMERICS,
        cost=cost,
        environment=describe_environment(run.session.device) | {"compiled": run.trainer.compiled},
        started=run.started,
        finished=now(),
    )
    files.write_record(run.folder, record)
    run.session.give_back(plan, run.trainer)
    return record


def finish_training(run: ReadyRun) -> None:
    """What the method does once training is over."""
    data = run.data
    ending.finish_training(run.trainer, data.images.fit.images, data.mean, data.std)


def _cost(run: ReadyRun, evaluate_seconds: float) -> Cost:
    plan, device = run.plan, run.session.device
    recipe, seconds = plan.choice.recipe, run.trainer.progress.seconds
    trained = plan.num_images * run.trainer.epochs
    image = run.session.known(plan, "flops", lambda: _image_flops(run))
    passed = trained * run.step.passed / run.step.images
    flops = None if image is None else round(BACKWARD_AND_FORWARD * image * passed)
    share = None if flops is None else round(flops / seconds / run.session.ceiling(recipe), 4)
    return Cost(
        train_seconds=round(seconds, 3),
        evaluate_seconds=round(evaluate_seconds, 3),
        images_per_second=round(trained / seconds, 1),
        peak_memory_bytes=peak_memory_bytes(device),
        device=device_title(device),
        model_flops=flops,
        ceiling_share=share,
        runs_together=run.together,
    )


def _image_flops(run: ReadyRun) -> int | None:
    """Of an image's forward pass; None where they cannot be counted, for which no run is lost."""
    size = run.data.images.fit.images.shape[1:3]
    image = torch.zeros(1, 3, *size, device=run.session.device)
    try:
        return count_flops(run.trainer.network, image).all_taps
    except Exception as problem:  # whatever third-party code makes of being counted
        _log.warning("%s: its FLOPs cannot be counted: %s", run.plan.title, in_brief(problem))
        return None


def _weights(run: ReadyRun) -> bytes:
    state = run.trainer.network.state_dict()
    # Cloned, since safetensors refuses weights that two layers share.
    return safetensors_bytes(
        {name: each.cpu().contiguous().clone() for name, each in state.items()}
    )


def _missing_and_needed(run: ReadyRun) -> list[str]:
    optional, missing = run.plan.protocol.optional_ood, run.data.images.missing_ood
    return [missing_departure(name) for name in missing if name not in optional]


def _drawn_from_elsewhere(run: ReadyRun) -> list[str]:
    """Departures of a method that draws from generators that no seed of the run decides."""
    names = sorted(run.trainer.progress.global_draws)
    return [f"method {run.plan.choice.label} draws from the generator of {each}" for each in names]


def _images_used(run: ReadyRun) -> dict[str, ImagesUsed | None]:
    images = run.data.images
    sets: dict[str, ImageSet | None] = {"fit": images.fit, "test": images.test}
    for name in run.plan.split.config.ood:
        sets[f"ood.{name}"] = images.ood.get(name)
    return {
        name: ImagesUsed(images=len(each.labels), sha256=each.sha256(), official=each.official)
        if each
        else None
        for name, each in sets.items()
    }
