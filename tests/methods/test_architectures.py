"""The networks of earlier work on little data, against their papers' definitions and counts."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from dcbench.errors import UsageError
from dcbench.methods import Task, build_method
from dcbench.models import build_model
from dcbench.models.full_conv import make_fully_convolutional
from dcbench.models.harmonic import HarmonicConv2d, HarmonicStem, cosine_basis
from dcbench.models.heads import CosineHead, TvMFHead, t_vmf_similarity
from tests.training.test_trainer import (
    a_trainer,
    assert_resumes,
    assert_same,
    train,
    weights,
)

NAMES = ["f-conv", "grad-l2", "harmonic", "scattering", "t-vmf"]
MODELS = [("wrn-16-8", 32), ("resnet-32", 32), ("digits-cnn", 8)]


@pytest.fixture(autouse=True)
def needs_kymatio(request: pytest.FixtureRequest) -> None:
    if "scattering" in str(getattr(request.node, "callspec", "")):
        pytest.importorskip("kymatio")


def network_of(method: str, model: str, side: int, classes: int = 10, **settings: object):
    task = Task((side, side), (5,) * classes)
    return build_method(method, settings).network(lambda: build_model(model, classes), task)


def maps_of(network: nn.Module, side: int) -> dict[str, Tensor]:
    """What each layer gives for two images."""
    seen: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
    with torch.no_grad():
        network.eval()(torch.randn(2, 3, side, side))
    return seen


# --- every network -------------------------------------------------------------------------------


# WRN-16-8 as counted on the code of the GEM benchmark; its t-vMF network keeps an unused `fc` of
# 5,130 weights. ResNet-32 and digits-cnn by hand from their layers:
# harmonic: 9 weights for 9, and 27 x 16 in the place of 3 x 16 x 9, which is the same number.
# f-conv: the same weights. t-vmf: no bias, one scale.
# scattering: 243 x 16 x 9 in the place of 3 x 16 x 9; ResNet-32 without 5 blocks of
# 2 (16 x 16 x 9 + 2 x 16).
@pytest.mark.parametrize(
    ("method", "model", "side", "expected"),
    [
        ("harmonic", "wrn-16-8", 32, 10_961_370),
        ("f-conv", "wrn-16-8", 32, 10_961_370),
        ("scattering", "wrn-16-8", 32, 10_777_482),
        ("t-vmf", "wrn-16-8", 32, 10_961_361),
        ("grad-l2", "wrn-16-8", 32, 10_961_370),
        ("harmonic", "resnet-32", 32, 464_154),
        ("f-conv", "resnet-32", 32, 464_154),
        ("scattering", "resnet-32", 32, 464_154 + 240 * 16 * 9 - 5 * 2 * (2304 + 32)),
        ("t-vmf", "resnet-32", 32, 464_154 - 9),
        ("harmonic", "digits-cnn", 8, 14_746),
        ("f-conv", "digits-cnn", 8, 14_746),
        ("scattering", "digits-cnn", 8, 14_746 + 240 * 16 * 9),
        ("t-vmf", "digits-cnn", 8, 14_746 - 9),
    ],
)
def test_number_of_weights_is_that_of_the_source(method, model, side, expected):
    network = network_of(method, model, side)
    assert sum(weight.numel() for weight in network.parameters()) == expected


# Multiply-adds of convolutions and the linear layer for one 32x32 image, in millions, as counted
# on the same code.
@pytest.mark.parametrize(("method", "expected"), [("f-conv", 4976), ("scattering", 689)])
def test_number_of_multiply_adds_is_that_of_the_source(method, expected):
    network = network_of(method, "wrn-16-8", 32).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.randn(1, 3, 32, 32))
    assert counter.get_total_flops() / 2e6 == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize(("model", "side"), MODELS)
def test_every_network_gives_finite_logits_and_learns_with_every_weight(method, model, side):
    torch.manual_seed(0)
    network = network_of(method, model, side, classes=4)
    logits = network(torch.randn(3, 3, side, side))
    assert logits.shape == (3, 4)
    assert torch.isfinite(logits).all()
    logits.square().sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("method", NAMES)
def test_run_that_was_cut_off_ends_with_the_weights_of_one_that_was_not(method):
    whole, again = a_trainer(method), a_trainer(method)
    train(whole)
    train(again)
    assert_same(weights(whole), weights(again))
    for steps in (2, 7):
        assert_resumes(whole, lambda: a_trainer(method), steps)


# --- harmonic ------------------------------------------------------------------------------------


def test_basis_is_the_discrete_cosine_transform_of_each_frequency():
    basis = cosine_basis(3)
    for index, function in enumerate(basis.double().numpy()):
        spectrum = dctn(function)
        u, v = divmod(index, 3)
        expected = np.zeros((3, 3))
        expected[u, v] = spectrum[u, v]
        assert spectrum[u, v] > 0
        np.testing.assert_allclose(spectrum, expected, atol=1e-6)
        assert np.abs(function).sum() == pytest.approx(1, abs=1e-6)


def test_first_functions_are_those_worked_out_by_hand():
    # cos(pi / 6), cos(pi / 2), cos(5 pi / 6): an edge; the constant is 1/9.
    assert_close(cosine_basis(3)[0], torch.full((3, 3), 1 / 9))
    edge = torch.tensor([1.0, 0, -1]).expand(3, 3) / 6
    assert_close(cosine_basis(3)[1], edge)
    assert_close(cosine_basis(3)[3], edge.T)


@pytest.mark.parametrize(("level", "expected"), [(1, 1), (2, 3), (3, 6), (5, 9), (None, 9)])
def test_level_keeps_the_low_frequencies(level, expected):
    assert len(cosine_basis(3, level)) == expected
    assert HarmonicConv2d(2, 4, level=level).weight.shape == (4, 2, expected)
    assert HarmonicStem(3, 4, level=level).combine.weight.shape == (4, 3 * expected, 1, 1)


def test_harmonic_convolution_is_the_weighted_sum_of_the_convolutions_with_each_function():
    torch.manual_seed(0)
    layer, maps = HarmonicConv2d(2, 4, stride=2), torch.randn(3, 2, 8, 8)
    expected = torch.zeros(3, 4, 4, 4)
    for channel in range(2):
        for index, function in enumerate(cosine_basis(3)):
            response = conv2d(maps[:, channel : channel + 1], function[None, None], None, 2, 1)
            expected += response * layer.weight[:, channel, index][:, None, None]
    assert_close(layer(maps), expected)


def test_harmonic_convolution_can_be_any_convolution():
    kernels = torch.randn(4, 2, 3, 3, dtype=torch.float64)
    layer = HarmonicConv2d(2, 4).double()
    spectra = torch.from_numpy(dctn(kernels.numpy(), axes=(2, 3)))
    # An inverse transform of one frequency is that function, up to its size.
    sizes = [np.abs(idctn(np.eye(9)[each].reshape(3, 3))).sum() for each in range(9)]
    with torch.no_grad():
        layer.weight.copy_(spectra.flatten(2) * torch.tensor(sizes))
    assert_close(layer.kernel, kernels, atol=1e-6, rtol=1e-6)


def test_first_layer_normalizes_each_response_before_it_combines_them():
    torch.manual_seed(0)
    stem, images = HarmonicStem(3, 5), torch.randn(4, 3, 8, 8)
    responses = torch.stack(
        [
            conv2d(images[:, channel : channel + 1], function[None, None], padding=1)[:, 0]
            for channel in range(3)
            for function in cosine_basis(3)
        ],
        dim=1,
    )
    mean = responses.mean((0, 2, 3), keepdim=True)
    variance = responses.var((0, 2, 3), unbiased=False, keepdim=True)
    normal = (responses - mean) / (variance + 1e-5).sqrt()
    combination = stem.combine.weight[:, :, 0, 0]
    assert_close(stem(images), torch.einsum("bfyx,of->boyx", normal, combination))


def test_harmonic_weights_start_kaiming_normal_by_fan_out():
    torch.manual_seed(0)
    # Standard errors: a 2n-th root of the number of weights.
    weight = HarmonicConv2d(64, 128).weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.015)
    weight = HarmonicStem(3, 512).combine.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / 512), rel=0.03)


def test_shortcuts_stay_ordinary_and_fixed_functions_are_not_stored():
    network = network_of("harmonic", "wrn-16-8", 32)
    left = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert all(module.kernel_size == (1, 1) for module in left)
    assert len(left) == 1 + 3
    assert not [name for name in network.state_dict() if "basis" in name]


def test_convolution_with_a_bias_cannot_become_harmonic():
    def build() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))

    with pytest.raises(UsageError, match=r"layer 0: .*no bias"):
        build_method("harmonic", {}).network(build, Task((8, 8), (1, 1)))


# --- full convolution ----------------------------------------------------------------------------


def test_maps_have_the_sizes_of_the_benchmarks_network():
    seen = maps_of(network_of("f-conv", "wrn-16-8", 32), 32)
    sides = [seen["conv"].shape[-1]]
    for block in range(6):
        sides += [seen[f"blocks.{block}.{conv}"].shape[-1] for conv in ("conv1", "conv2")]
    assert sides == [34, 36, 38, 40, 42, 22, 24, 26, 28, 15, 17, 19, 21]


@pytest.mark.parametrize(
    ("model", "side", "expected"),
    # ResNet-32: 32 + 2, five blocks of + 4: 54; (54 + 1) // 2 + 3 = 30, + 16: 46; 26, + 16: 42.
    # digits-cnn: 10; (10 + 1) // 2 + 1 = 6; 8. ResNet-18: 34, 42; 24, 28; 17, 21; 14, 18.
    [("resnet-32", 32, 42), ("digits-cnn", 8, 8), ("resnet-18", 32, 18)],
)
def test_last_maps_have_the_size_worked_out_by_hand(model, side, expected):
    seen = maps_of(network_of("f-conv", model, side), side)
    last = "layers" if model == "digits-cnn" else "blocks"
    assert seen[last].shape[-2:] == (expected, expected)


def test_pixel_weighs_the_same_at_the_border_as_in_the_middle():
    layer = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False))
    pixel = torch.zeros(2, 1, 8, 8)
    pixel[0, 0, 0, 7] = pixel[1, 0, 4, 4] = 1
    corner, middle = layer(pixel).sum((1, 2, 3))
    assert not torch.isclose(corner, middle)
    make_fully_convolutional(layer)
    corner, middle = layer(pixel).sum((1, 2, 3))
    assert_close(corner, layer[0].weight.sum())
    assert_close(middle, layer[0].weight.sum())


def test_image_that_is_moved_over_the_border_of_its_padding_gives_maps_that_are_moved():
    torch.manual_seed(0)
    layer = make_fully_convolutional(nn.Conv2d(3, 4, 3, padding=1, bias=False))
    patch = torch.randn(1, 3, 5, 5)
    at = {}
    for row, column in [(0, 0), (3, 2)]:
        images = torch.zeros(1, 3, 8, 8)
        images[:, :, row : row + 5, column : column + 5] = patch
        at[row, column] = layer(images)[:, :, row : row + 7, column : column + 7]
    assert_close(at[0, 0], at[3, 2])
    assert_close(at[0, 0], conv2d(patch, layer.weight, padding=2))


def test_full_blocks_add_the_bordered_input():
    torch.manual_seed(0)
    network = network_of("f-conv", "resnet-32", 32).eval()
    block = network.blocks[0]
    nn.init.zeros_(block.block.conv2.weight)
    with torch.no_grad():
        maps = torch.rand(1, 16, 6, 6)
        expected = torch.zeros(1, 16, 10, 10)
        expected[:, :, 2:-2, 2:-2] = maps
        assert_close(block(maps), expected)


def test_weights_are_those_of_the_network_unless_pytorch_defaults_are_asked_for():
    def built(**settings: object) -> Tensor:
        torch.manual_seed(0)
        return network_of("f-conv", "wrn-10-1", 32, **settings).blocks[2].conv1.weight

    torch.manual_seed(0)
    plain = build_model("wrn-10-1", 10).blocks[2].conv1.weight
    assert torch.equal(built(), plain)
    # PyTorch's default is uniform up to 1 / sqrt(fan in).
    limit = 1 / math.sqrt(32 * 9)
    assert built(init="pytorch").abs().max().item() == pytest.approx(limit, rel=0.01)


# --- scattering ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("scales", "maps"), [(1, 9), (2, 81), (3, 217)])
@pytest.mark.parametrize("side", [8, 32])
def test_scattering_is_kymatios(scales, maps, side):
    kymatio = pytest.importorskip("kymatio")
    from dcbench.models.scattering import Scattering

    images = torch.randn(2, 3, side, side)
    theirs = kymatio.Scattering2D(J=scales, shape=(side, side), L=8, frontend="torch")(images)
    ours = Scattering(scales, (side, side))(images.to(memory_format=torch.channels_last))
    assert theirs.shape == (2, 3, maps, side // 2**scales, side // 2**scales)
    assert_close(ours, theirs.reshape(2, 3 * maps, *theirs.shape[3:]))


def test_hybrid_learns_from_8x8_maps_of_which_every_group_keeps_the_size():
    pytest.importorskip("kymatio")
    network = network_of("scattering", "wrn-16-8", 32)
    seen = maps_of(network, 32)
    assert seen["conv.0.scattering"].shape[1:] == (243, 8, 8)
    assert seen["conv"].shape[1:] == (128, 8, 8)
    assert [seen[f"blocks.{each}"].shape[1:] for each in range(4)] == [
        (256, 8, 8),
        (256, 8, 8),
        (512, 8, 8),
        (512, 8, 8),
    ]
    assert not [name for name in network.state_dict() if "tensor" in name]
    seen = maps_of(network_of("scattering", "resnet-32", 32), 32)
    assert seen["blocks"].shape[1:] == (64, 8, 8)
    assert seen["conv"].shape[1:] == (16, 8, 8)


def test_model_without_a_hybrid_and_images_that_do_not_fit_are_refused():
    pytest.importorskip("kymatio")
    with pytest.raises(UsageError, match=r"wrn-D-K.*got a ResNet"):
        network_of("scattering", "resnet-18", 32)
    with pytest.raises(UsageError, match=r"28x30 pixels .*multiples of 4"):
        build_method("scattering", {}).network(
            lambda: build_model("digits-cnn", 2), Task((28, 30), (1, 1))
        )


def test_missing_package_is_named_with_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "kymatio", None)
    with pytest.raises(UsageError, match=r"kymatio.*pip install 'dcbench-vision\[scattering\]'"):
        network_of("scattering", "digits-cnn", 8)


# --- t-vMF ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cosine", "kappa", "expected"),
    # 1.9 / 2.6 - 1; 1.5 / 9 - 1; the ends for any kappa; the cosine itself for 0.
    [
        (0.9, 16, -0.7 / 2.6),
        (0.5, 16, -7.5 / 9),
        (1.0, 16, 1.0),
        (-1.0, 16, -1.0),
        (0.3, 0, 0.3),
    ],
)
def test_similarity_is_that_worked_out_by_hand(cosine, kappa, expected):
    assert t_vmf_similarity(torch.tensor(cosine), kappa).item() == pytest.approx(expected, abs=1e-6)


def test_logits_are_the_scale_times_the_similarity():
    head = TvMFHead(2, 2, kappa=16)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[2.0, 0], [0, 5]]))
    # Cosines 0.8 and 0.6: 1.8 / 4.2 - 1 and 1.6 / 7.4 - 1; the scale starts at 1 + log 2.
    logits = head(torch.tensor([[4.0, 3.0]]))
    expected = (1 + math.log(2)) * torch.tensor([[1.8 / 4.2 - 1, 1.6 / 7.4 - 1]])
    assert_close(logits, expected)


def test_scale_is_learned_and_lengths_have_no_effect():
    torch.manual_seed(0)
    head, features = CosineHead(5, 3), torch.randn(4, 5)
    before = head(features)
    head(features).square().sum().backward()
    assert head.raw_scale.grad.abs() > 0
    with torch.no_grad():
        head.weight.mul_(7)
    assert_close(head(3 * features), before)


def test_model_without_a_linear_classifier_gets_no_t_vmf_head():
    with pytest.raises(UsageError, match=r"method t-vmf: .*`fc`; Conv2d has none"):
        build_method("t-vmf", {}).network(lambda: nn.Conv2d(3, 3, 1), Task((8, 8), (1, 1)))
