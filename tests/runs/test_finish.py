"""What a method is given once training is over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import dcbench
from dcbench.data.load import load_images
from dcbench.data.source import open_source
from dcbench.data.splits import load_split

METHOD = """
import torch
from torch.nn.functional import cross_entropy

from dcbench.methods import Method


class Mine(Method):
    def loss(self, network, batch):
        return cross_entropy(network(batch.images), batch.labels)

    def finish(self, network, images):
        torch.save(list(images), {path!r})
"""


def test_images_come_class_after_class_as_they_are_listed(tmp_path: Path):
    (tmp_path / "mine.py").write_text(METHOD.format(path=str(tmp_path / "batches.pt")))
    options = {"settings": {"epochs": 1}, "results": tmp_path / "results", "device": "cpu"}
    record = dcbench.run(f"{tmp_path / 'mine.py'}:Mine", "digits", **options)
    batches = torch.load(tmp_path / "batches.pt")
    listed = load_images(load_split("digits"), open_source()).fit
    mean, std = (np.float32(each) for each in (record.normalization.mean, record.normalization.std))
    given = torch.cat(batches).permute(0, 2, 3, 1).numpy() * std * 255 + mean * 255
    places = {image.tobytes(): place for place, image in enumerate(listed.images)}
    order = [places[image.tobytes()] for image in given.round().astype(np.uint8)]
    assert sorted(order) == list(range(len(listed.images)))
    labels = np.split(listed.labels[order], np.cumsum([len(each) for each in batches])[:-1])
    assert min(len(np.unique(each)) for each in labels) > 5, "of ten classes, among 25 images"
