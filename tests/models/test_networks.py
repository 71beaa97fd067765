import importlib
import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dcbench.models import build_model, model_names
from dcbench.models.layers import BatchNorm2d
from dcbench.models.resnet import BasicBlock
from dcbench.models.resnet_cifar import CifarBlock, pad_shortcut
from dcbench.models.wide_resnet import WideBlock


def build_without_memory(name, num_classes):
    with torch.device("meta"):
        return build_model(name, num_classes)


def convolutions(network):
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


# The wide ResNets, ResNet-18 and -34 and ResNet-32 as counted on their authors' code.
# digits-cnn: 3*16*9 + 16*32*9 + 32*32*9 + 2*(16+32+32) + 32*10 + 10
@pytest.mark.parametrize(
    ("name", "num_classes", "expected"),
    [
        ("wrn-16-8", 10, 10_961_370),
        ("wrn-16-8", 100, 11_007_540),
        ("wrn-28-10", 10, 36_479_194),
        ("resnet-32", 10, 464_154),
        ("resnet-32", 100, 470_004),
        ("resnet-18", 10, 11_173_962),
        ("resnet-18", 100, 11_220_132),
        ("resnet-34", 10, 21_282_122),
        ("resnet-34", 100, 21_328_292),
        ("digits-cnn", 10, 432 + 4608 + 9216 + 160 + 330),
    ],
)
def test_number_of_weights_is_that_of_the_source(name, num_classes, expected):
    network = build_without_memory(name, num_classes)
    assert sum(weight.numel() for weight in network.parameters()) == expected


# Multiply-adds of convolutions and the linear layer for one 32x32 image, in millions.
@pytest.mark.parametrize(
    ("name", "num_classes", "expected"),
    [
        ("wrn-16-8", 10, 1548.15),
        ("wrn-16-8", 100, 1548.19),
        ("wrn-28-10", 10, 5243.33),
        ("resnet-32", 10, 68.86),
        ("resnet-32", 100, 68.87),
        ("resnet-18", 10, 555.42),
        ("resnet-18", 100, 555.47),
        ("resnet-34", 10, 1159.40),
        ("resnet-34", 100, 1159.45),
    ],
)
def test_number_of_multiply_adds_is_that_of_the_source(name, num_classes, expected):
    network = build_without_memory(name, num_classes).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 32, 32, device="meta"))
    assert counter.get_total_flops() / 2e6 == pytest.approx(expected, abs=0.005 + 1e-9)


@pytest.mark.parametrize("name", model_names())
def test_logits_are_the_last_layer_of_the_features_and_every_weight_learns(name):
    torch.manual_seed(0)
    network = build_model(name, 4)
    images = torch.randn(2, 3, 16, 16)
    features = network.features(images)
    logits = network(images)
    assert features.shape == (2, network.fc.in_features)
    assert logits.shape == (2, 4)
    torch.testing.assert_close(logits, features @ network.fc.weight.T + network.fc.bias)
    nn.functional.cross_entropy(logits, torch.tensor([0, 3])).backward()
    for key, weight in network.named_parameters():
        assert weight.grad is not None, key
        assert torch.isfinite(weight.grad).all(), key
        assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ["digits-cnn", "wrn-10-1", "resnet-8"])
@pytest.mark.parametrize("size", [(8, 8), (32, 32), (15, 17)])
def test_other_image_sizes_work(name, size):
    assert build_model(name, 5).eval()(torch.zeros(1, 3, *size)).shape == (1, 5)


@pytest.mark.parametrize("name", ["digits-cnn", "wrn-10-2", "resnet-8", "resnet-18"])
def test_the_seed_alone_decides_the_first_weights(name):
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([weight.flatten() for weight in build_model(name, 3).parameters()])

    first = weights(1)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))


def test_wide_resnet_starts_kaiming_normal_by_fan_out_with_no_bias():
    torch.manual_seed(0)
    network = build_model("wrn-16-8", 10)
    layers = convolutions(network)
    assert len(layers) == 1 + 12 + 3
    for layer in layers:
        fan_out = layer.out_channels * math.prod(layer.kernel_size)
        # the sample deviation of n normal values is off by 1 / sqrt(2n), relatively
        tolerance = 5 / math.sqrt(2 * layer.weight.numel())
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=tolerance)
        assert layer.bias is None
    assert torch.count_nonzero(network.fc.bias) == 0
    assert network.fc.weight.abs().max() <= 1 / math.sqrt(512)
    assert network.fc.weight.std().item() == pytest.approx(1 / math.sqrt(3 * 512), rel=0.05)


def test_cifar_resnet_starts_kaiming_normal_by_fan_in_also_in_its_last_layer():
    torch.manual_seed(0)
    network = build_model("resnet-32", 100)
    layers = convolutions(network)
    assert len(layers) == 31
    for layer in [*layers, network.fc]:
        fan_in = layer.weight[0].numel()
        tolerance = 5 / math.sqrt(2 * layer.weight.numel())
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=tolerance)
    assert 0 < network.fc.bias.abs().max() <= 1 / math.sqrt(64)


@pytest.mark.parametrize("name", ["resnet-18", "digits-cnn"])
def test_other_networks_start_at_the_defaults_of_pytorch(name):
    torch.manual_seed(0)
    network = build_model(name, 10)
    for layer in [*convolutions(network), network.fc]:
        bound = 1 / math.sqrt(layer.weight[0].numel())
        assert 0.9 * bound < layer.weight.abs().max() <= bound


def test_option_a_shortcut_takes_every_second_pixel_between_zero_channels():
    x = torch.arange(2 * 3 * 4, dtype=torch.float32).reshape(1, 2, 3, 4)
    result = pad_shortcut(x, 4)
    zeros = [[0, 0], [0, 0]]
    expected = [[zeros, [[0, 2], [8, 10]], [[12, 14], [20, 22]], zeros]]
    assert result.tolist() == expected


def test_wide_block_projects_the_activated_input_not_the_raw_one():
    block = WideBlock(1, 2, stride=1).eval()
    with torch.no_grad():
        block.conv2.weight.zero_()
        block.shortcut.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
        block.bn1.running_var.fill_(1 - 1e-5)
        result = block(torch.tensor([-3.0, 5.0]).reshape(1, 1, 1, 2))
    # relu(-3, 5) = (0, 5), times 1 and -1; the raw input would give -3 and 3 in the first column
    torch.testing.assert_close(result, torch.tensor([[[[0.0, 5.0]], [[0.0, -5.0]]]]))


def test_wide_block_of_equal_width_passes_the_raw_input_on():
    block = WideBlock(2, 2, stride=1).eval()
    x = torch.tensor([-3.0, 5.0]).reshape(1, 2, 1, 1)
    with torch.no_grad():
        block.conv2.weight.zero_()
        assert torch.equal(block(x), x)


@pytest.mark.parametrize("block", [CifarBlock(2, 2), BasicBlock(2, 2, stride=1)])
def test_other_blocks_apply_relu_after_adding_the_shortcut(block):
    with torch.no_grad():
        block.conv2.weight.zero_()
        result = block.eval()(torch.tensor([-3.0, 5.0]).reshape(1, 2, 1, 1))
    assert result.flatten().tolist() == [0.0, 5.0]


@pytest.mark.parametrize("depth", [18, 34])
def test_resnets_compute_what_torchvision_does_with_the_same_weights(depth):
    try:
        torchvision = importlib.import_module("torchvision.models")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision does not import beside this torch: {error}")
    torch.manual_seed(0)
    ours = build_model(f"resnet-{depth}", 10)
    theirs = getattr(torchvision, f"resnet{depth}")(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    with torch.no_grad():
        for source, target in zip(ours.parameters(), theirs.parameters(), strict=True):
            target.copy_(source)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(images), theirs(images))
    torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_batch_norm_computes_what_pytorch_does_in_training_and_in_use():
    torch.manual_seed(0)
    ours, theirs = BatchNorm2d(3), nn.BatchNorm2d(3)
    for _ in range(3):
        x = 2 * torch.randn(4, 3, 5, 5) + 1
        torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=0)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", model_names("*-1*"))
def test_weights_without_a_batch_count_load_from_a_plain_dictionary(name):
    network = build_model(name, 3)
    weights = dict(network.state_dict())
    assert not [key for key in weights if "num_batches" in key]
    build_model(name, 3).load_state_dict(weights, strict=True)
