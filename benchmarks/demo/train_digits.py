"""Trains the network behind `sardonyx demo` on scikit-learn's handwritten digits.

    python benchmarks/demo/train_digits.py      (needs torch and scikit-learn; a minute on a laptop)

Writes digits.onnx and the held-out digits into the package's demo.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

FOLDER = Path(__file__).parents[2] / "python" / "sardonyx" / "demo"
HELD_OUT = 450
EPOCHS = 60
BATCH = 64


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(self.first(x)))
        return torch.relu(x + self.second(y))


def make_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1, bias=False),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        Residual(12),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, padding=1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(96, 10),
        nn.Softmax(dim=1),
    )


def shifted(images: torch.Tensor) -> torch.Tensor:
    """Each image moved by up to one pixel, so that the network learns shapes and not places."""
    rows, columns = torch.randint(-1, 2, (2,)).tolist()
    return torch.roll(images, (rows, columns), (2, 3))


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pixels, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        pixels.reshape(-1, 1, 8, 8), labels, test_size=HELD_OUT, random_state=0, stratify=labels
    )
    images = torch.tensor(train_x / 16, dtype=torch.float32)
    targets = torch.tensor(train_y)
    network = make_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    steps = EPOCHS * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for picked in torch.randperm(len(images)).split(BATCH):
            probabilities = network(shifted(images[picked]))
            loss = nn.functional.nll_loss(torch.log(probabilities + 1e-9), targets[picked])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        guesses = network(torch.tensor(test_x / 16, dtype=torch.float32)).argmax(1).numpy()
    print(f"{(guesses == test_y).mean():.2%} of {len(test_y)} held-out digits")

    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, 8, 8),),
        str(FOLDER / "digits.onnx"),
        input_names=["image"],
        output_names=["probabilities"],
        dynamic_axes={"image": {0: "batch"}, "probabilities": {0: "batch"}},
        opset_version=17,
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,  # normalisation stays a node of its own
        do_constant_folding=False,
    )
    np.savez_compressed(
        FOLDER / "digits.npz", images=test_x.astype(np.uint8)[:, 0], labels=test_y.astype(np.uint8)
    )


if __name__ == "__main__":
    main()
