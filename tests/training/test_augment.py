from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as tv

from dcbench.draws import Draws, draw_epoch
from dcbench.training.augment import (
    DeviceImages,
    channel_statistics,
    normalize,
    rotate_nearest,
    rotation_maps,
)

MEAN = np.array([0.4914, 0.4822, 0.4465], dtype=np.float32)
STD = np.array([0.2023, 0.1994, 0.2010], dtype=np.float32)
CPU = torch.device("cpu")


def pixels(count: int, height: int = 32, width: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def some_draws(count: int, padding: int = 0, rotation: float = 0.0, flip: bool = True) -> Draws:
    return draw_epoch(0, 0, count, count, padding=padding, flip=flip, rotation=rotation)


def rotated_by(images: torch.Tensor, angles: list[float] | np.ndarray) -> torch.Tensor:
    maps = rotation_maps(np.asarray(angles), images.shape[1], images.shape[2])
    return rotate_nearest(images, torch.from_numpy(maps))


def draws_of(order=(0,), offsets=((0, 0),), flips=(False,), angles=(0.0,), dtype=np.int64) -> Draws:
    count = len(order)
    return Draws(
        order=np.array(order, dtype),
        offsets=np.array(offsets, dtype),
        flips=np.array(flips),
        angles=np.array(angles, dtype=np.float64),
        partners=np.arange(count),
        coefficients=np.ones(count, dtype=np.float32),
    )


def with_torchvision(images: np.ndarray, draws: Draws, padding: int, border: str) -> torch.Tensor:
    """Pad, crop, flip, rotate, ToTensor and Normalize of each image, by PIL."""
    height, width = images.shape[1:3]
    mode = "constant" if border == "zero" else "reflect"
    batch = []
    for row, (top, left), flip, angle in zip(
        draws.order, draws.offsets, draws.flips, draws.angles, strict=True
    ):
        image = Image.fromarray(images[row])
        image = tv.pad(image, [padding] * 4, fill=0, padding_mode=mode)
        image = tv.crop(image, int(top), int(left), height, width)
        image = tv.hflip(image) if flip else image
        if angle:
            image = tv.rotate(image, float(angle), InterpolationMode.NEAREST, fill=0)
        batch.append(tv.normalize(tv.to_tensor(image), MEAN.tolist(), STD.tolist()))
    return torch.stack(batch)


@pytest.mark.parametrize("border", ["zero", "reflect"])
@pytest.mark.parametrize("rotation", [0.0, 15.0])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 8), (9, 12)])
def test_batch_is_torchvisions_pipeline_bit_for_bit(border, rotation, height, width):
    images = pixels(64, height, width)
    draws = some_draws(64, padding=4, rotation=rotation)
    device_images = DeviceImages(images, mean=MEAN, std=STD, device=CPU, padding=4, border=border)
    assert torch.equal(
        device_images.batch(draws), with_torchvision(images, draws, padding=4, border=border)
    )


def test_batch_without_any_augmentation_is_to_tensor_and_normalize():
    images = pixels(16)
    draws = some_draws(16, flip=False)
    device_images = DeviceImages(images, mean=MEAN, std=STD, device=CPU)
    expected = with_torchvision(images, draws, padding=0, border="zero")
    assert torch.equal(device_images.batch(draws), expected)


@pytest.mark.parametrize("border", ["zero", "reflect"])
def test_every_corner_of_the_border_is_cropped_and_flipped_as_torchvision_does(border):
    corners = [(top, left) for top in (0, 3, 6) for left in (0, 1, 5, 6)]
    offsets = np.array(corners * 2)
    flips = np.repeat([False, True], len(corners))
    draws = draws_of([1] * len(flips), offsets, flips, [0.0] * len(flips))
    images = pixels(2, 10, 7)
    device_images = DeviceImages(images, mean=MEAN, std=STD, device=CPU, padding=3, border=border)
    expected = with_torchvision(images, draws, padding=3, border=border)
    assert torch.equal(device_images.batch(draws), expected)


def test_an_image_asked_for_twice_comes_twice():
    images = pixels(3)
    device_images = DeviceImages(images, mean=MEAN, std=STD, device=CPU)
    draws = draws_of([2, 0, 2], [(0, 0)] * 3, [False] * 3, [0.0] * 3)
    batch = device_images.batch(draws)
    assert torch.equal(batch[0], batch[2])
    assert torch.equal(batch[1], tv.normalize(tv.to_tensor(images[0]), MEAN, STD))


def test_batch_is_float32_and_channels_last_in_memory():
    device_images = DeviceImages(pixels(8), mean=MEAN, std=STD, device=CPU, padding=4)
    for rotation in (0.0, 15.0):
        batch = device_images.batch(some_draws(8, padding=4, rotation=rotation))
        assert batch.shape == (8, 3, 32, 32)
        assert batch.dtype == torch.float32
        assert batch.is_contiguous(memory_format=torch.channels_last)


def test_zero_border_is_a_black_pixel_before_normalization():
    white = np.full((1, 4, 4, 3), 255, dtype=np.uint8)
    device_images = DeviceImages(white, mean=MEAN, std=STD, device=CPU, padding=2)
    batch = device_images.batch(draws_of())
    black, full = torch.from_numpy((0 - MEAN) / STD), torch.from_numpy((1 - MEAN) / STD)
    assert torch.equal(batch[0, :, 0, 0], black)
    assert torch.equal(batch[0, :, 1, 3], black)
    assert torch.equal(batch[0, :, 2, 2], full)


def test_corners_that_rotation_uncovers_are_black_pixels_before_normalization():
    white = np.full((1, 32, 32, 3), 255, dtype=np.uint8)
    device_images = DeviceImages(white, mean=MEAN, std=STD, device=CPU)
    batch = device_images.batch(draws_of(angles=(15.0,)))
    assert torch.equal(batch[0, :, 0, 0], torch.from_numpy((0 - MEAN) / STD))
    assert torch.equal(batch[0, :, 16, 16], torch.from_numpy((1 - MEAN) / STD))


def test_making_a_batch_leaves_the_images_and_the_draws_alone():
    images = pixels(8)
    before = images.copy()
    draws = some_draws(8, padding=4, rotation=15.0)
    offsets = draws.offsets.copy()
    device_images = DeviceImages(images, mean=MEAN, std=STD, device=CPU, padding=4)
    first = device_images.batch(draws)
    assert torch.equal(first, device_images.batch(draws))
    assert np.array_equal(images, before)
    assert np.array_equal(draws.offsets, offsets)


ANGLES = [0, 90, 180, 270, 360, -90, -180, -270, 45, -45, 1e-6, -1e-6, 15, -15, 89.999, 90.001]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 8), (7, 7), (20, 31)])
def test_rotation_is_pillows_to_the_pixel_at_any_angle(height: int, width: int):
    drawn = np.random.default_rng(1).uniform(-400, 400, 200)
    angles = np.concatenate([np.array(ANGLES, dtype=np.float64), drawn])
    images = pixels(len(angles), height, width)
    rotated = rotated_by(torch.from_numpy(images), angles).numpy()
    for image, angle, found in zip(images, angles, rotated, strict=True):
        expected = np.asarray(Image.fromarray(image).rotate(angle, Image.Resampling.NEAREST))
        assert np.array_equal(found, expected), f"{angle} degrees"


def test_rotation_turns_counter_clockwise():
    corners = np.zeros((1, 3, 3, 3), dtype=np.uint8)
    corners[0, 0, 2] = 200  # top right
    turned = rotated_by(torch.from_numpy(corners), [90.0])
    expected = np.zeros_like(corners)
    expected[0, 0, 0] = 200  # top left
    assert np.array_equal(turned.numpy(), expected)


def test_images_of_one_batch_are_turned_each_by_its_own_angle():
    images = torch.from_numpy(pixels(2))
    together = rotated_by(images, [10.0, -70.0])
    assert torch.equal(together[:1], rotated_by(images[:1], [10.0]))
    assert torch.equal(together[1:], rotated_by(images[1:], [-70.0]))


def test_normalize_divides_by_255_and_keeps_the_bytes():
    bytes_ = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    mean, std = torch.tensor([0.0, 0.1, 0.5]), torch.tensor([1.0, 0.2, 0.25])
    # 51 / 255 is 0.2
    torch.testing.assert_close(normalize(bytes_, mean, std), torch.tensor([[0.0, 0.5, 2.0]]))
    assert bytes_.tolist() == [[0, 51, 255]]


def test_channel_statistics_are_numpys_population_statistics_of_each_channel():
    images = pixels(20, 5, 6)
    images[..., 1] //= 2
    mean, std = channel_statistics(images)
    scaled = images / 255
    assert mean.dtype == std.dtype == np.float32
    assert np.array_equal(mean, np.mean(scaled, axis=(0, 1, 2)).astype(np.float32))
    np.testing.assert_allclose(std, np.std(scaled, axis=(0, 1, 2), ddof=0), rtol=1e-6)


def test_channel_statistics_of_two_pixels_by_hand():
    images = np.array([[[[0, 51, 255]]], [[[255, 102, 255]]]], dtype=np.uint8)
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean, [0.5, 0.3, 1.0], rtol=1e-6)
    np.testing.assert_allclose(std[:2], [0.5, 0.1], rtol=1e-6)


def test_a_constant_channel_normalizes_to_finite_numbers():
    mean, std = channel_statistics(np.full((2, 4, 4, 3), 7, dtype=np.uint8))
    assert (std > 0).all()
    image = torch.full((4, 4, 3), 7, dtype=torch.uint8)
    assert torch.isfinite(normalize(image, torch.from_numpy(mean), torch.from_numpy(std))).all()
