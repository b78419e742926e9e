"""The small CNN of the Keras tutorials as a network of a medeor user: `--set network.name=bench.networks:KerasCNN`."""

from __future__ import annotations

from torch import Tensor, nn


class KerasCNN(nn.Module):
    """Conv2D(32, 3x3, relu) - MaxPool - Conv2D(64, 3x3, relu) - MaxPool - Flatten - Dense, without padding as in Keras.

    The rectifier stands after the pooling: it is monotone, so the function and its gradients are the same."""

    def __init__(self, channels: int, outputs: int, size: tuple[int, ...]) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU()
        )
        rows, columns = (((side - 2) // 2 - 2) // 2 for side in size)
        self.head = nn.Linear(64 * rows * columns, outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).flatten(1))
