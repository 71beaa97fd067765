"""One training run with PyTorch alone: what `dcbench run --method erm --split digits` does.

From dcbench come the images and the metrics. What a real run adds to this: every draw from named
streams of the seed, so that methods are compared in pairs; checkpoints; a record with the hash of
its data and predictions. The result is therefore close to that of `dcbench run`, not equal to it.

    python examples/plain_run.py
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad
from torch.utils.data import DataLoader

from dcbench import load_split
from dcbench.metrics import accuracy, expected_calibration_error, softmax
from dcbench.models import build_model

# The recipe of protocol v1-lite for this split.
EPOCHS, BATCH_SIZE, PADDING = 60, 25, 1
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 5e-4


def crop(images: torch.Tensor) -> torch.Tensor:
    """Each image moved by up to PADDING pixels each way, black where it ends."""
    size, padded = images.shape[-1], pad(images, [PADDING] * 4)
    corners = torch.randint(2 * PADDING + 1, (len(images), 2)).tolist()
    return torch.stack(
        [
            image[:, top : top + size, left : left + size]
            for image, (top, left) in zip(padded, corners, strict=True)
        ]
    )


def train(network: nn.Module, loader: DataLoader, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Minimize the cross-entropy by SGD whose learning rate falls as a cosine, step by step."""
    optimizer = torch.optim.SGD(
        network.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS * len(loader))
    for _ in range(EPOCHS):
        for images, labels in loader:
            loss = cross_entropy(network((crop(images) - mean) / std), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def main(seed: int = 0) -> float:
    """Train, predict, measure; the accuracy is returned."""
    torch.manual_seed(seed)
    split = load_split("digits", subset=0, images=True)
    # The protocol trains on the training and the validation part together.
    pixels = np.concatenate([split.train.images, split.val.images]) / 255
    mean, std = (
        torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
        for values in (pixels.mean((0, 1, 2)), pixels.std((0, 1, 2)))
    )
    network = build_model("digits-cnn", num_classes=len(split.train.classes))
    train(network, DataLoader(split.train + split.val, BATCH_SIZE, shuffle=True), mean, std)

    network.eval()
    with torch.no_grad():
        batches = DataLoader(split.test, batch_size=500)
        logits = np.concatenate([network((images - mean) / std) for images, _ in batches])
    probs, labels = softmax(logits), split.test.labels
    print(f"accuracy {accuracy(probs, labels):.4f}")
    print(f"ECE-15   {expected_calibration_error(probs, labels):.4f}")
    return accuracy(probs, labels)


if __name__ == "__main__":
    main()
