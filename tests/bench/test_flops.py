import pytest
import torch
from torch import nn

from dcbench.bench.cases import CASES, Comparison, content_of
from dcbench.bench.flops import passes
from dcbench.runs.flops import count_flops, forward_flops, inside_share


@pytest.mark.parametrize(
    ("model", "classes", "giga", "giga_inside"),
    [
        ("wrn-16-8", 10, 2 * 1.54815, 2.820),
        ("resnet-32", 10, 0.138, 0.125),
        ("resnet-34", 100, 2.319, 1.998),
    ],
)
def test_flops_are_the_published_multiply_adds_doubled(model, classes, giga, giga_inside):
    found = forward_flops(model, classes)
    assert found.all_taps / 1e9 == pytest.approx(giga, rel=4e-3)
    assert found.inside / 1e9 == pytest.approx(giga_inside, rel=4e-3)


def test_wide_resnet_takes_1548_million_multiply_adds_an_image():
    assert forward_flops("wrn-16-8", 10).all_taps / 2e6 == pytest.approx(1548.15, abs=0.005)


class Called(nn.Module):
    """A convolution to 2 maps and a matrix product, called by places or by names."""

    def __init__(self, *, named: bool) -> None:
        super().__init__()
        self.conv, self.named = nn.Conv2d(3, 2, 3, padding=1), named

    def forward(self, images):
        maps = self.conv(input=images) if self.named else self.conv(images)
        means, other = maps.mean((2, 3)), torch.ones(2, 5)
        return torch.matmul(input=means, other=other) if self.named else means @ other


@pytest.mark.parametrize("named", [False, True])
def test_operands_are_found_by_their_places_and_names(named):
    found = count_flops(Called(named=named), torch.zeros(1, 3, 4, 4))
    products, rows = 2 * 5, 4 * 3 - 2  # of 12 taps along each axis 2 are on the padding
    assert found.all_taps == 2 * (2 * 3 * 12**2 + products)
    assert found.inside == 2 * (2 * 3 * rows**2 + products)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_inside_share_is_what_a_convolution_of_ones_adds_up(stride, padding):
    layer = nn.Conv2d(1, 1, 3, stride=stride, padding=padding, bias=False)
    nn.init.ones_(layer.weight)
    images = torch.ones(1, 1, 8, 5)
    maps = layer(images)
    assert inside_share(layer, images, maps) == pytest.approx(maps.sum().item() / maps.numel() / 9)


@pytest.mark.parametrize(
    ("method", "count"),
    [("erm", 1), ("mixup", 1), ("ic-regmixup", 2), ("regmixup[forward=joint]", 2)],
)
def test_every_image_that_goes_through_the_network_is_counted(method, count):
    assert passes(content_of(Comparison(case="resnet-32", method=method))) == count


def test_passes_are_counted_for_any_number_of_classes():
    assert all(passes(content_of(Comparison(case=case))) == 1 for case in CASES)
