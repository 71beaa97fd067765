"""Corruptions beside the package `imagecorruptions`, SciPy, OpenCV, Pillow and hand calculation.

The package has ImageNet-C's constants, so the functions are compared with those; where it goes
another way than CIFAR-10-C's script, the oracle is the library that the script calls.
"""

from __future__ import annotations

import io
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from dcbench.config.image_sets import CORRUPTIONS
from dcbench.training.corruptions import blur, chance, corrupt, digital, filters, noise, weather
from dcbench.training.corruptions.table import TABLE

CPU = torch.device("cpu")


def photographs(count: int = 3, side: int = 32) -> np.ndarray:
    """Smooth pictures with some grain, uint8 [N, side, side, 3]."""
    drawn = np.random.default_rng(5).normal(size=(count, side, side, 3))
    smooth = ndimage.gaussian_filter(drawn, (0, 3, 3, 0)) * 6 + drawn * 0.1
    return np.clip((smooth + 1) * 128, 0, 255).astype(np.uint8)


IMAGES = photographs()
FLOATS = torch.from_numpy(IMAGES).double() / 255


class Drawn(chance.Chance):
    """Chance whose numbers are given."""

    def __init__(self, **numbers: np.ndarray) -> None:
        self._numbers = numbers

    def _given(self, name: str, *_: Any) -> torch.Tensor:
        return torch.from_numpy(self._numbers[name])

    normal = uniform = integers = poisson = _given


@pytest.fixture(scope="module")
def package() -> Iterator[Any]:
    """`imagecorruptions`, on which newer versions of what it stands on have closed the door."""
    pytest.importorskip("cv2")
    with pytest.MonkeyPatch.context() as patch:
        old = types.ModuleType("pkg_resources")
        vars(old)["resource_filename"] = lambda *names: "/".join(names)
        interpolation = types.ModuleType("scipy.ndimage.interpolation")
        vars(interpolation)["map_coordinates"] = ndimage.map_coordinates
        patch.setitem(sys.modules, "pkg_resources", old)
        patch.setitem(sys.modules, "scipy.ndimage.interpolation", interpolation)
        patch.setattr(np, "float_", np.float64, raising=False)
        corruptions = pytest.importorskip("imagecorruptions.corruptions")
        from skimage.filters import gaussian

        patch.setattr(
            corruptions,
            "gaussian",
            lambda image, sigma, multichannel=False, **more: gaussian(
                image, sigma=sigma, channel_axis=-1 if multichannel else None, **more
            ),
        )
        yield corruptions


def seeded(monkeypatch: pytest.MonkeyPatch, module: Any, **functions: Any) -> None:
    for name, function in functions.items():
        monkeypatch.setattr(module.np.random, name, function)


def close(ours: torch.Tensor, theirs: np.ndarray, *, levels: float = 1e-6) -> None:
    """Values in [0, 1] beside theirs in [0, 255], by levels of gray."""
    made = ours.clamp(0, 1).numpy() * 255
    assert np.abs(made - theirs).max() <= levels


def test_gaussian_noise_is_the_packages(package, monkeypatch):
    drawn = np.random.default_rng(1).normal(size=IMAGES.shape)
    made = noise.gaussian_noise(FLOATS, 0.18, Drawn(noise=drawn))
    for image, numbers, mine in zip(IMAGES, drawn, made, strict=True):
        seeded(monkeypatch, package, normal=lambda size, scale, n=numbers: n * scale)
        close(mine, package.gaussian_noise(Image.fromarray(image), severity=3))


def test_shot_noise_is_the_packages(package, monkeypatch):
    def counted(means):
        return np.random.RandomState(3).poisson(means)

    class Counting(Drawn):
        def poisson(self, name, means):
            return torch.from_numpy(counted(means.numpy()).astype(np.float64))

    made = noise.shot_noise(FLOATS[:1], 12, Counting())
    theirs_rng = counted
    seeded(monkeypatch, package, poisson=theirs_rng)
    close(made[0], package.shot_noise(Image.fromarray(IMAGES[0]), severity=3))


def test_impulse_noise_changes_the_share_asked_for_to_black_or_white():
    drawn = np.random.default_rng(2)
    given = {
        "flipped": drawn.uniform(size=(3, 32, 32, 3)),
        "salted": drawn.uniform(size=(3, 32, 32, 3)),
    }
    made = noise.impulse_noise(FLOATS, 0.07, Drawn(**given)).numpy()
    expected = FLOATS.numpy().copy()
    expected[(given["flipped"] <= 0.07) & (given["salted"] <= 0.5)] = 1
    expected[(given["flipped"] <= 0.07) & (given["salted"] > 0.5)] = 0
    assert np.array_equal(made, expected)
    assert np.mean(given["flipped"] <= 0.07) == pytest.approx(0.07, abs=0.01)


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_defocus_blur_is_the_packages(package, severity):
    level = [(3, 0.1), (4, 0.5), (6, 0.5)][severity - 1]
    made = blur.defocus_blur(FLOATS, level, Drawn())
    for image, mine in zip(IMAGES, made, strict=True):
        close(mine, package.defocus_blur(Image.fromarray(image), severity), levels=1e-3)


def test_disks_of_cifar_are_those_of_opencv(package):
    for level in TABLE["defocus_blur"].levels:
        theirs = package.disk(*level)
        mine = blur._disk(*level).numpy()
        margin = (len(theirs) - len(mine)) // 2
        assert np.abs(np.pad(mine, margin) - theirs).max() < 1e-6


def test_glass_blur_is_the_packages(package, monkeypatch):
    moves = np.random.default_rng(4).integers(0, 2, size=(2, 32, 32, 2))
    made = blur.glass_blur(
        FLOATS[:1], (0.7, 2), Drawn(**{f"moves-{turn}": moves[turn][None] for turn in range(2)})
    )
    places = [(turn, h, w) for turn in range(2) for h in range(31, 1, -1) for w in range(31, 1, -1)]
    numbers = iter(places)

    def offsets(low, high, size):
        assert (low, high, size) == (-1, 1, (2,))
        return -moves[next(numbers)]

    seeded(monkeypatch, package, randint=offsets)
    close(made[0], package.glass_blur(Image.fromarray(IMAGES[0]), severity=1))


@pytest.mark.parametrize("degrees", [-135.0, -80.0, -45.0, -13.0, 0.0, 30.0, 45.0])
def test_motion_blur_is_the_packages(package, degrees):
    angles = torch.full((len(IMAGES),), degrees, dtype=torch.float64)
    made = filters.motion_blur(FLOATS, 9, 2.5, angles)
    for image, mine in zip(IMAGES, made, strict=True):
        close(mine, package._motion_blur(image, radius=9, sigma=2.5, angle=degrees), levels=1e-3)


def test_zoom_blur_is_the_mean_of_scipys_zooms():
    made = blur.zoom_blur(FLOATS[:1], 1.11, Drawn())[0].numpy()
    image, layers = FLOATS[0].numpy(), []
    for factor in np.arange(1, 1.11, 0.01):
        kept = int(np.ceil(32 / factor))
        first = (32 - kept) // 2
        middle = image[first : first + kept, first : first + kept]
        enlarged = ndimage.zoom(middle, (factor, factor, 1), order=1)
        trim = (len(enlarged) - 32) // 2
        layers.append(enlarged[trim : trim + 32, trim : trim + 32])
    assert np.abs(made - np.mean([image, *layers], axis=0)).max() < 1e-12


def test_fractal_of_fog_is_the_packages(package, monkeypatch):
    shares = np.random.default_rng(6).uniform(size=(1, 1023))
    used = iter(shares[0])

    def uniform(low, high, shape):
        drawn = [next(used) for _ in range(np.prod(shape))]
        return low + (high - low) * np.array(drawn).reshape(shape)

    seeded(monkeypatch, package, uniform=uniform)
    theirs = package.plasma_fractal(mapsize=32, wibbledecay=1.75)
    mine = weather.plasma_fractal(torch.from_numpy(shares), 1.75)[0].numpy()
    assert np.abs(mine - theirs).max() < 1e-9


def test_fog_is_the_packages(package, monkeypatch):
    shares = np.random.default_rng(6).uniform(size=(1, 1023))
    plasma = weather.plasma_fractal(torch.from_numpy(shares), 1.7)[0].numpy()
    monkeypatch.setattr(package, "plasma_fractal", lambda mapsize, wibbledecay: plasma)
    made = weather.fog(FLOATS[:1], (2.5, 1.7), Drawn(fractal=shares))
    close(made[0], package.fog(Image.fromarray(IMAGES[0]), severity=3))


def test_frost_takes_pieces_of_the_photographs():
    places = np.array([[0.0, 0.0], [0.5, 0.99], [0.25, 0.75]])
    which = np.array([0, 4, 1])
    made = weather.frost(FLOATS, (0.75, 0.45), Drawn(texture=which, place=places)).numpy()
    for number, (row, column) in enumerate(places):
        texture = weather._textures()[which[number]].numpy()
        top, left = int(row * (len(texture) - 32)), int(column * (texture.shape[1] - 32))
        piece = texture[top : top + 32, left : left + 32]
        expected = 0.75 * FLOATS[number].numpy() + 0.45 * piece
        assert np.abs(made[number] - expected).max() < 1e-12


def test_snow_is_its_formula():
    drawn = np.random.default_rng(8)
    flakes, angle = drawn.normal(size=(1, 32, 32, 1)), drawn.uniform(size=1)
    level = TABLE["snow"].levels[0]
    made = weather.snow(FLOATS[:1], level, Drawn(flakes=flakes, angle=angle))[0].numpy()
    layer = 0.1 + 0.2 * flakes[0, ..., 0]
    layer[layer < 0.6] = 0
    layer = np.floor(np.clip(layer, 0, 1) * 255)
    degrees = torch.tensor(angle * 90 - 135)
    blurred = filters.motion_blur(torch.from_numpy(layer[None, ..., None]), 8, 3, degrees)
    fallen = np.round(blurred[0, ..., 0].numpy())[..., None] / 255
    image = FLOATS[0].numpy()
    gray = (image * [0.299, 0.587, 0.114]).sum(axis=-1, keepdims=True)
    whitened = 0.95 * image + 0.05 * np.maximum(image, gray * 1.5 + 0.5)
    assert np.abs(made - (whitened + fallen + np.rot90(fallen, 2))).max() < 1e-12


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_brightness_is_the_packages(package, severity):
    made = weather.brightness(FLOATS, 0.1 * severity, Drawn())
    for image, mine in zip(IMAGES, made, strict=True):
        close(mine, package.brightness(Image.fromarray(image), severity))


def test_brightness_makes_black_gray():
    black = torch.zeros(1, 2, 2, 3, dtype=torch.float64)
    assert torch.equal(weather.brightness(black, 0.3, Drawn()), torch.full_like(black, 0.3))


@pytest.mark.parametrize(("severity", "kept"), [(1, 0.4), (5, 0.05)])
def test_contrast_is_the_packages(package, severity, kept):
    made = digital.contrast(FLOATS, kept, Drawn())
    for image, mine in zip(IMAGES, made, strict=True):
        close(mine, package.contrast(Image.fromarray(image), severity))


def test_elastic_map_is_opencvs_and_scipys():
    cv2 = pytest.importorskip("cv2")
    drawn = np.random.default_rng(9)
    points, fields = drawn.uniform(size=(1, 3, 2)), drawn.uniform(size=(1, 32, 32, 2))
    level = TABLE["elastic_transform"].levels[3]
    made = digital.elastic_transform(FLOATS[:1], level, Drawn(points=points, fields=fields))
    length, sigma, largest = (32 * each for each in level)
    before = np.array([[26, 26], [26, 6], [6, 6]], dtype=np.float32)
    after = (before + largest * (2 * points[0] - 1)).astype(np.float32)
    matrix = cv2.getAffineTransform(before, after)
    warped = cv2.warpAffine(
        FLOATS[0].numpy().astype(np.float32), matrix, (32, 32), borderMode=cv2.BORDER_REFLECT_101
    )
    right, down = (
        ndimage.gaussian_filter(2 * fields[0, ..., axis] - 1, sigma, mode="reflect", truncate=3)
        * length
        for axis in (0, 1)
    )
    rows, columns = np.mgrid[:32, :32].astype(float)
    expected = np.stack(
        [
            ndimage.map_coordinates(
                warped[..., channel], [rows + down, columns + right], order=1, mode="reflect"
            )
            for channel in range(3)
        ],
        axis=-1,
    )
    # OpenCV knows places to a thirty-second of a pixel.
    assert np.abs(made[0].numpy() - expected).mean() * 255 < 0.5
    assert np.abs(made[0].numpy() - expected).max() * 255 < 8


@pytest.mark.parametrize("share", TABLE["pixelate"].levels)
def test_pixelate_is_pillows_to_the_bit(share):
    made = (digital.pixelate(FLOATS, share, Drawn()) * 255).round().byte().numpy()
    small = int(32 * share)
    for image, mine in zip(IMAGES, made, strict=True):
        picture = Image.fromarray(image).resize((small, small), Image.Resampling.BOX)
        expected = np.asarray(picture.resize((32, 32), Image.Resampling.BOX))
        assert np.array_equal(mine, expected)


def test_jpeg_compression_is_pillows_to_the_bit():
    made = corrupt(IMAGES, "jpeg_compression", 5, CPU)
    for image, mine in zip(IMAGES, made, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=40)
        assert np.array_equal(mine, np.asarray(Image.open(file)))


def test_table_is_that_of_the_names():
    assert tuple(TABLE) == CORRUPTIONS


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_image_is_corrupted_alike_in_any_batch_and_at_any_size(name, monkeypatch):
    whole = corrupt(IMAGES, name, 3, CPU)
    assert whole.dtype == np.uint8
    assert (whole != IMAGES).any()
    monkeypatch.setattr("dcbench.training.corruptions.table._BATCH", 2)
    assert np.array_equal(corrupt(IMAGES, name, 3, CPU), whole)
    for side in (8, 28, 64):
        images = photographs(2, side)
        assert corrupt(images, name, 5, CPU).shape == images.shape


@pytest.mark.parametrize("name", ["gaussian_noise", "fog", "contrast", "pixelate", "brightness"])
def test_severities_grow(name):
    changes = [
        np.abs(corrupt(IMAGES, name, each, CPU) - IMAGES.astype(int)).mean() for each in range(1, 6)
    ]
    assert changes == sorted(changes)
