from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dcbench.errors import RunError
from dcbench.methods import Task, build_method
from dcbench.methods.cutmix import paste_boxes
from dcbench.models import build_model
from tests.methods.networks import CLASSES, COUNTS, Small, a_batch

ALWAYS, NEVER = torch.tensor(0.0), torch.tensor(1.0)


def official_box(height: int, width: int, share: float, row: int, column: int) -> np.ndarray:
    """The pixels of `rand_bbox` in the official code of CutMix, its center given."""
    cut_rows, cut_columns = (int(length * np.sqrt(1 - share)) for length in (height, width))
    box = np.zeros((height, width), dtype=bool)
    first_row, last_row = np.clip([row - cut_rows // 2, row + cut_rows // 2], 0, height)
    first, last = np.clip([column - cut_columns // 2, column + cut_columns // 2], 0, width)
    box[first_row:last_row, first:last] = True
    return box


def test_boxes_by_hand():
    # Side of 4 of 8 pixels around row 4, column 1: rows 2 to 5, columns -1 to 2 cut to 0 to 2.
    [box] = paste_boxes(torch.tensor([0.75]), torch.tensor([[0.5, 0.125]]), (8, 8))
    assert box.nonzero().min(dim=0).values.tolist() == [2, 0]
    assert box.nonzero().max(dim=0).values.tolist() == [5, 2]
    assert box.sum() == 12


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (5, 7)])
def test_boxes_are_those_of_the_official_code(size):
    generator = np.random.default_rng(0)
    shares = generator.uniform(size=50).astype(np.float32)
    shares[:2] = 0, 1
    rows, columns = (generator.integers(length, size=50) for length in size)
    centers = np.stack([(rows + 0.5) / size[0], (columns + 0.5) / size[1]], axis=1)
    found = paste_boxes(torch.from_numpy(shares), torch.from_numpy(centers).float(), size)
    for number in range(50):
        expected = official_box(*size, float(shares[number]), rows[number], columns[number])
        assert np.array_equal(found[number], expected)


def test_center_that_float32_rounds_up_to_the_edge_stays_in_the_image():
    [box] = paste_boxes(torch.tensor([0.0]), torch.tensor([[1.0, 1.0]]), (4, 4))
    assert np.array_equal(box, official_box(4, 4, 0.0, 3, 3))


@pytest.mark.parametrize("coefficient", ["batch", "sample"])
def test_cutmix_pastes_the_partner_and_mixes_labels_by_the_area_that_was_pasted(coefficient):
    method = build_method("cutmix", {"coefficient": coefficient, "probability": 1})
    shares = torch.linspace(0.1, 0.9, 10) if coefficient == "sample" else torch.full((10,), 0.4)
    batch, network = a_batch(method, coefficients=shares), Small()
    centers = np.broadcast_to(batch.draws["center"].numpy(), (10, 2))
    images, own = batch.images.clone(), torch.ones(10)
    for i, (row, column) in enumerate(np.floor(centers * 4).astype(int)):
        box = torch.from_numpy(official_box(4, 4, float(shares[i]), row, column))
        images[i][:, box] = batch.images[batch.partners[i]][:, box]
        own[i] = 1 - box.sum() / 16
    log_probs = network(images).log_softmax(dim=1)
    mine = log_probs[torch.arange(10), batch.labels]
    other = log_probs[torch.arange(10), batch.labels[batch.partners]]
    assert torch.any(own < 1)
    assert_close(method.mixed_images(batch), images)
    assert_close(method.label_coefficients(batch), own)
    assert_close(method.loss(network, batch), -(own * mine + (1 - own) * other).mean())


def test_one_box_is_pasted_in_all_images_of_a_batch():
    method = build_method("cutmix", {})
    drawn = a_batch(method)
    boxes = method.boxes(replace(drawn, draws={**drawn.draws, "mixed": ALWAYS}))
    assert torch.equal(boxes, boxes[:1].expand_as(boxes))


@pytest.mark.parametrize("name", ["cutmix", "ic-cutmix"])
def test_batch_that_is_not_mixed_is_learned_as_by_erm(name):
    method, network = build_method(name, {}), Small()
    batch = a_batch(method)
    batch = replace(batch, draws={**batch.draws, "mixed": NEVER})
    assert_close(method.loss(network, batch), build_method("erm", {}).loss(network, batch))


def test_half_of_the_batches_are_mixed():
    method, drawn = build_method("cutmix", {}), a_batch(build_method("cutmix", {}))
    for value, expected in ((0.0, True), (0.49, True), (0.5, False), (0.99, False)):
        batch = replace(drawn, draws={**drawn.draws, "mixed": torch.tensor(value)})
        assert method.is_mixed(batch).item() is expected


@pytest.mark.parametrize("axes", ["class", "pair", "both"])
def test_ic_cutmix_contrasts_the_pairs_of_cutmix(axes):
    method, network = build_method("ic-cutmix", {"axes": axes}), Small()
    batch = a_batch(method)
    batch = replace(batch, draws={**batch.draws, "mixed": ALWAYS})
    plain = build_method("cutmix", {})
    logits = network(plain.mixed_images(batch)).detach().double().numpy()
    own = plain.label_coefficients(batch).numpy()
    soft = np.zeros((10, CLASSES))
    np.add.at(soft, (np.arange(10), batch.labels), own)
    np.add.at(soft, (np.arange(10), batch.labels[batch.partners]), 1 - own)
    scores = logits @ soft.T
    of_class = np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diag(scores))
    of_pair = np.mean(np.log(np.exp(scores).sum(axis=0)) - np.diag(scores))
    expected = {"class": of_class, "pair": of_pair, "both": of_class + of_pair}[axes]
    assert method.loss(network, batch).item() == pytest.approx(expected, rel=1e-5)


def test_variants_of_cutmix_draw_the_same_boxes():
    assert build_method("ic-cutmix", {}).family == build_method("cutmix", {}).family == "cutmix"


# --- Manifold Mixup ------------------------------------------------------------------------------


def mixed_in(layer: int, share: float = 0.3):
    method = build_method("manifold-mixup", {})
    batch = a_batch(method, coefficients=torch.full((10,), share))
    return method, replace(batch, draws={"layer": torch.tensor(layer)})


def test_manifold_mixup_in_layer_0_is_mixup_to_the_bit():
    network = Small()
    method, batch = mixed_in(0)
    assert torch.equal(method.loss(network, batch), build_method("mixup", {}).loss(network, batch))


@pytest.mark.parametrize("layer", [1, 2])
def test_manifold_mixup_mixes_the_maps_of_the_layer_that_was_drawn(layer):
    network = Small()
    method, batch = mixed_in(layer)
    first, second = network.layers[:3], network.layers[3:]
    hidden = first(batch.images) if layer == 1 else network.layers(batch.images)
    hidden = 0.3 * hidden + 0.7 * hidden[batch.partners]
    maps = second(hidden) if layer == 1 else hidden
    log_probs = network.fc(maps.flatten(1)).log_softmax(dim=1)
    mine = log_probs[torch.arange(10), batch.labels]
    other = log_probs[torch.arange(10), batch.labels[batch.partners]]
    expected = -(0.3 * mine + 0.7 * other).mean()
    found = method.loss(network, batch)
    assert_close(found, expected)
    weights = list(network.parameters())
    assert_close(torch.autograd.grad(found, weights), torch.autograd.grad(expected, weights))


def test_manifold_mixup_leaves_no_hook_behind_even_after_an_error():
    network = Small()
    method, batch = mixed_in(1)
    before = network(batch.images)
    method.loss(network, batch)
    with pytest.raises(RuntimeError):
        method.loss(network, replace(batch, images=torch.zeros(10, 7, 4, 4)))
    assert torch.equal(network(batch.images), before)
    assert not any(module._forward_hooks for module in network.modules())


def test_manifold_mixup_draws_each_of_three_layers_as_often():
    [law] = build_method("manifold-mixup", {}).draws.values()
    assert law.probs == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert law.per == "batch"


def test_manifold_mixup_refuses_a_network_that_does_not_name_its_stages():
    task = Task((4, 4), tuple(COUNTS))
    with pytest.raises(RunError, match="network Linear should have `stage_ends`"):
        build_method("manifold-mixup", {}).network(lambda: torch.nn.Linear(2, 2), task)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("digits-cnn", [(16, 32, 32), (32, 16, 16)]),
        ("resnet-18", [(64, 32, 32), (128, 16, 16)]),
        ("resnet-34", [(64, 32, 32), (128, 16, 16)]),
        ("resnet-32", [(16, 32, 32), (32, 16, 16)]),
        ("wrn-16-2", [(32, 32, 32), (64, 16, 16)]),
    ],
)
def test_stages_end_where_the_next_halves_the_maps_or_the_network_does(name, shapes):
    network, found = build_model(name, 10).eval(), []
    for module in network.stage_ends:
        module.register_forward_hook(lambda _, inputs, output: found.append(output.shape[1:]))
    with torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    assert found == shapes
