"""A folder of pictures by class, to make splits of: three colors with noise."""

from pathlib import Path

import numpy as np
from PIL import Image

generator = np.random.default_rng(0)
colors = {"brick": (180, 70, 50), "moss": (70, 140, 60), "slate": (90, 100, 120)}
for part, count in {"train": 12, "test": 6}.items():
    for name, color in colors.items():
        folder = Path("photos", part, name)
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = np.array(color) + generator.normal(0, 60, (32, 32, 3))
            Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(folder / f"{number:02}.png")
