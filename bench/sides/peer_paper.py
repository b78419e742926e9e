"""The MedMNIST paper's recipe for 28 pixels (Yang et al. 2023, doi:10.1038/s41597-022-01721-8) in bare PyTorch:
ResNet-18 with a 3x3 stem, Adam at 0.001, a tenth of it after half and again after three quarters of 100 epochs,
batches of 128, no augmentation, images scaled to -1..1, the epoch with the best validation AUROC;
float32, as published.

`python -m bench.sides.peer_paper ARCHIVE SEED EPOCHS FOLDER` goes on where it was interrupted. It counts processor
seconds, which other work on the machine changes little."""

from __future__ import annotations

import copy
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, roc_auc_score
from torch import Tensor, nn

BATCH = 128


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.body(features) + self.shortcut(features))


def resnet18(channels: int, classes: int) -> nn.Module:
    """With PyTorch's own initialisation, as in the published code."""
    layers: list[nn.Module] = [nn.Conv2d(channels, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    inputs = 64
    for stage, width in enumerate((64, 128, 256, 512)):
        layers += [Block(inputs, width, 2 if stage else 1), Block(width, width, 1)]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def images_of(archive: Any, part: str) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(archive[f"{part}_images"]).float() / 255
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
    return (images - 0.5) / 0.5, torch.from_numpy(archive[f"{part}_labels"][:, 0].astype(np.int64))


@torch.no_grad()
def positive(network: nn.Module, images: Tensor) -> np.ndarray:
    """Probability of class 1."""
    network.eval()
    return torch.cat([network(lot).softmax(1)[:, 1] for lot in images.split(256)]).numpy()


def main() -> None:
    archive = np.load(sys.argv[1])
    seed, epochs, folder = int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "predictions.npz").exists():
        return
    (images, labels), (held, held_labels), (test, test_labels) = (
        images_of(archive, part) for part in ("train", "val", "test")
    )
    torch.manual_seed(seed)
    network = resnet18(images.shape[1], 2)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, [epochs // 2, epochs * 3 // 4], 0.1)
    best, best_weights, seconds, done = -1.0, copy.deepcopy(network.state_dict()), 0.0, 0
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        kept = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        scheduler.load_state_dict(kept["scheduler"])
        best, best_weights, seconds, done = kept["best"], kept["best_weights"], kept["seconds"], kept["done"]
    for epoch in range(done, epochs):
        began = time.process_time()
        network.train()
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed * 1000 + epoch))
        for rows in order.split(BATCH):
            loss = nn.functional.cross_entropy(network(images[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        scheduler.step()
        area = float(roc_auc_score(held_labels, positive(network, held)))
        if area > best:
            best, best_weights = area, copy.deepcopy(network.state_dict())
        seconds += time.process_time() - began
        state = {
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "scheduler": scheduler.state_dict(),
            "best": best,
            "best_weights": best_weights,
            "seconds": seconds,
            "done": epoch + 1,
        }
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)
        if (epoch + 1) % 10 == 0:
            print(f"epoch {epoch + 1} of {epochs}: {seconds:.0f} s", file=sys.stderr, flush=True)
    network.load_state_dict(best_weights)
    probability = positive(network, test)
    np.savez(
        folder / "predictions.new.npz",
        probability=probability,
        classes_positive=test_labels.numpy(),
        auroc=roc_auc_score(test_labels, probability),
        accuracy=accuracy_score(test_labels, probability >= 0.5),
        seconds=seconds,
    )
    (folder / "predictions.new.npz").replace(folder / "predictions.npz")


if __name__ == "__main__":
    main()
