"""The same images and random changes as a MONAI user would write them:
`python -m bench.sides.peer_monai ARCHIVE WORKERS PATH BATCH WIDTHS BLOCKS THREADS`, where PATH is `data` (batches
alone) or `fit` (with medeor's default network and optimiser)."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader
from monai.transforms import (
    Compose,
    EnsureChannelFirst,
    NormalizeIntensity,
    RandAffine,
    RandFlip,
    RandScaleIntensityFixedMean,
    RandShiftIntensity,
    ToTensor,
)
from torch import Tensor, nn

from bench.sides import answer
from medeor.imaging.model.convolutional import ResNet

SECONDS = 4.0
WARM = 5


def loader(archive: str, workers: int, batch: int) -> DataLoader:
    """Standardised images, cached; each is changed anew every time, as `sides.medeor.MILD` says."""
    images = np.load(archive)["train_images"].astype(np.float32)
    labels = np.load(archive)["train_labels"][:, 0].astype(np.int64)
    reach = 0.07 * images.shape[-1]
    change = Compose(
        [
            EnsureChannelFirst(channel_dim="no_channel"),
            NormalizeIntensity(),
            RandAffine(
                prob=1.0,
                rotate_range=math.radians(10),
                scale_range=(-0.1, 0.1),
                translate_range=reach,
                padding_mode="border",
                cache_grid=True,
                spatial_size=images.shape[1:],
            ),
            RandFlip(prob=0.5, spatial_axis=1),
            RandScaleIntensityFixedMean(prob=1.0, factors=(-0.2, 0.25)),
            RandShiftIntensity(prob=1.0, offsets=0.1),
            ToTensor(track_meta=False),
        ]
    )
    pictures = CacheDataset(list(images), change, progress=False)
    pairs = torch.utils.data.StackDataset(pictures, labels)
    return DataLoader(pairs, batch_size=batch, shuffle=True, drop_last=True, num_workers=workers,
                      persistent_workers=workers > 0)  # fmt: skip


def forever(batches: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from batches


def main() -> None:
    archive, workers, path, batch, widths, blocks = sys.argv[1:7]
    torch.set_num_threads(int(sys.argv[7]))
    batches = forever(loader(archive, int(workers), int(batch)))
    network = ResNet(
        dimensions=2,
        channels=1,
        outputs=1,
        size=(28, 28),
        widths=[int(width) for width in widths.split(",")],
        blocks=[int(block) for block in blocks.split(",")],
    ).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)

    def step(images: Tensor, labels: Tensor) -> None:
        images = images.as_tensor() if hasattr(images, "as_tensor") else images
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(images.to(memory_format=torch.channels_last))
        nn.functional.binary_cross_entropy_with_logits(outputs[:, 0].float(), labels.float()).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def stretch() -> float:
        began, count = 0.0, 0
        for number, (images, labels) in enumerate(batches):
            if path == "fit":
                step(images, labels)
            if number == WARM:
                began = time.perf_counter()
            elif number > WARM:
                count += len(images)
                if time.perf_counter() - began > SECONDS:
                    break
        return count / (time.perf_counter() - began)

    answer(stretch)


if __name__ == "__main__":
    main()
