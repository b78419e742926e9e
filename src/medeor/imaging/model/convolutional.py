"""Convolutional networks for 2-D images and 3-D volumes.

Each maps images `(batch, channels, *size)` to logits `(batch, outputs)` and is plain PyTorch, without a base class."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from medeor.learning.networks.devices import without_numbers

Norm = Literal["batch", "group"]
Pooling = Literal["mean", "mean and max"]

SMALL = 64
"""Side in pixels up to which a network keeps full resolution in its stem: there is none to throw away."""
MANY = 1 << 17
"""Voxels beyond which a network for volumes is kept narrow, and its stem shortens the finer axes."""


class _Layers(NamedTuple):
    convolution: Callable[..., nn.Module]
    batch_norm: Callable[[int], nn.Module]
    max_pool: Callable[..., nn.Module]


_LAYERS = {2: _Layers(nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d), 3: _Layers(nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d)}


def _norm(norm: Norm, dimensions: int, channels: int) -> nn.Module:
    # Groups of 8 or more channels: statistics over fewer are noisy (Wu & He 2018, table 3).
    if norm == "group":
        return nn.GroupNorm(math.gcd(channels, max(1, channels // 8)), channels)
    return _LAYERS[dimensions].batch_norm(channels)


Sides = int | tuple[int, ...]
"""Of a kernel, or of a stride: alike along all axes, or one an axis."""


def _convolution(
    dimensions: int, inputs: int, outputs: int, kernel: Sides, *, stride: Sides = 1, groups: int = 1, bias: bool = False
) -> nn.Module:
    padding = kernel // 2 if isinstance(kernel, int) else tuple(side // 2 for side in kernel)
    return _LAYERS[dimensions].convolution(
        inputs, outputs, kernel, stride=stride, padding=padding, groups=groups, bias=bias
    )


def _mean(features: Tensor) -> Tensor:
    """Global average pooling: `(batch, channels, *size)` to `(batch, channels)`."""
    return features.flatten(2).mean(2)


def _mean_and_max(features: Tensor) -> Tensor:
    """The mean and the maximum of each channel, `(batch, 2 * channels)`: a finding that fills one cell of hundreds is
    lost in a mean."""
    flat = features.flatten(2)
    return torch.cat([flat.mean(2), flat.amax(2)], dim=1)


class _Step(NamedTuple):
    """How one stage of a network for volumes looks at its axes, and by how much it shortens them."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]


def _steps(size: Sequence[int], spacing: Sequence[float], halve: Sequence[bool]) -> list[_Step]:
    """Kernels and strides of stages, of which some halve the sides: along an axis where neighbours lie twice as far
    apart as along the finest, or more, nothing is convolved or halved until the others have caught up (nnU-Net;
    Isensee et al. 2021)."""
    sides, spacings, steps = list(size), list(spacing), []
    for halving in halve:
        fine = [own < 2 * min(spacings) for own in spacings]
        stride = tuple(2 if halving and one and side >= 4 else 1 for one, side in zip(fine, sides))
        steps.append(_Step(tuple(3 if one else 1 for one in fine), stride))
        sides = [-(-side // by) for side, by in zip(sides, stride)]
        spacings = [own * by for own, by in zip(spacings, stride)]
    return steps


class SmallCNN(nn.Module):
    """Two convolutions and one dense layer: the network of every first tutorial, kept as an honest lower bound."""

    def __init__(
        self, *, dimensions: int, channels: int, outputs: int, size: Sequence[int], widths: Sequence[int] = (32, 64)
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, width in zip((channels, *widths), widths, strict=False):
            layers += [
                _convolution(dimensions, inputs, width, 3, bias=True),
                # The same as the usual other order, as the rectifier is monotone, with a quarter of the work.
                _LAYERS[dimensions].max_pool(2, ceil_mode=True),
                nn.ReLU(inplace=True),
            ]
        self.features = nn.Sequential(*layers)
        cells = math.prod(math.ceil(side / 2 ** len(widths)) for side in size)
        self.head = nn.Linear(widths[-1] * cells, outputs)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).flatten(1))


def _convolutions(dimensions: int, norm: Norm, *steps: tuple[int, int, Sides, Sides]) -> nn.Sequential:
    """Convolutions from inputs to outputs by a kernel and a stride, each normalised, with rectifiers between them."""
    layers: list[nn.Module] = []
    for inputs, outputs, kernel, stride in steps:
        convolution = _convolution(dimensions, inputs, outputs, kernel, stride=stride)
        layers += [convolution, _norm(norm, dimensions, outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, https://arxiv.org/abs/1512.03385, figure 5 left)."""

    expansion = 1

    def __init__(self, dimensions: int, inputs: int, width: int, stride: Sides, norm: Norm, kernel: Sides = 3) -> None:
        super().__init__()
        self.body = _convolutions(dimensions, norm, (inputs, width, kernel, stride), (width, width, kernel, 1))
        self.shortcut = _shortcut(dimensions, inputs, width, stride, norm)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.body(features) + self.shortcut(features))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; the 3x3 carries the stride (figure 5 right, "version 1.5")."""

    expansion = 4

    def __init__(self, dimensions: int, inputs: int, width: int, stride: Sides, norm: Norm, kernel: Sides = 3) -> None:
        super().__init__()
        outputs = width * self.expansion
        steps = (inputs, width, 1, 1), (width, width, kernel, stride), (width, outputs, 1, 1)
        self.body = _convolutions(dimensions, norm, *steps)
        self.shortcut = _shortcut(dimensions, inputs, outputs, stride, norm)

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.body(features) + self.shortcut(features))


def _shortcut(dimensions: int, inputs: int, outputs: int, stride: Sides, norm: Norm) -> nn.Module:
    if inputs == outputs and stride in (1, (1,) * dimensions):
        return nn.Identity()
    return _convolutions(dimensions, norm, (inputs, outputs, 1, stride))


class ResNet(nn.Module):
    """The residual network of He et al. 2016; with the defaults, ResNet-18.

    Args:
        dimensions: 2 or 3.
        channels: channels of the images.
        outputs: number of logits.
        size: sides of the images in pixels. Up to 64 the stem is a 3x3 convolution of stride 1 (the paper's CIFAR
            form); above, the 7x7 of stride 2 and a pooling.
        widths: channels of each stage; each stage after the first halves the sides.
        blocks: blocks in each stage.
        block: `BasicBlock` or `Bottleneck` (four times the channels at a stage's end).
        norm: `batch`, or `group` where a batch holds only a few images.
        dropout: share of pooled features dropped before the head while training.
        pooling: what the head is given of each channel of the last stage: its mean, or mean and maximum.
        spacing: distances between the voxels of a volume along its axes, in any unit. Then each stage convolves and
            halves only the finer axes, and the stem halves them where there are more voxels than `MANY`.
    """

    def __init__(
        self,
        *,
        dimensions: int,
        channels: int,
        outputs: int,
        size: Sequence[int],
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (2, 2, 2, 2),
        block: type[BasicBlock] | type[Bottleneck] = BasicBlock,
        norm: Norm = "batch",
        dropout: float = 0.0,
        pooling: Pooling = "mean",
        spacing: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        later = [_Step((3,) * dimensions, (2,) * dimensions)] * (len(widths) - 1)
        steps = [_Step((3,) * dimensions, (1,) * dimensions), *later]
        if spacing is not None and dimensions == 3:
            halve = [math.prod(size) > MANY, False, *[True] * len(later)]
            first, *steps = _steps(size, spacing, halve)
            kernel = tuple(5 if by == 2 else side for side, by in zip(first.kernel, first.stride))
            stem: list[nn.Module] = [_convolution(dimensions, channels, widths[0], kernel, stride=first.stride)]
            pool: list[nn.Module] = []
        elif max(size) <= SMALL:
            stem, pool = [_convolution(dimensions, channels, widths[0], 3)], []
        else:
            stem = [_convolution(dimensions, channels, widths[0], 7, stride=2)]
            pool = [_LAYERS[dimensions].max_pool(3, stride=2, padding=1)]
        self.stem = nn.Sequential(*stem, _norm(norm, dimensions, widths[0]), nn.ReLU(inplace=True), *pool)

        stages, inputs = [], widths[0]
        for stage, (width, depth) in enumerate(zip(widths, blocks, strict=True)):
            kernel, stride = steps[stage]
            for index in range(depth):
                by = stride if index == 0 else (1,) * dimensions
                stages.append(block(dimensions, inputs, width, by, norm, kernel))
                inputs = width * block.expansion
        self.stages = nn.Sequential(*stages)
        self.pool = {"mean": _mean, "mean and max": _mean_and_max}[pooling]
        pooled = inputs if pooling == "mean" else 2 * inputs
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(pooled, outputs))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d) and not without_numbers():
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Each block starts as its shortcut (Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 5.1).
        for block in self.stages:
            nn.init.zeros_(block.body[-1].weight)  # type: ignore[union-attr, index]

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(self.stages(self.stem(images))))


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel of `(batch, channels, *size)`."""

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


class _Patches(nn.Module):
    """A convolution over patches side by side; sides that do not divide are padded with zeros at their end."""

    def __init__(self, dimensions: int, inputs: int, outputs: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.convolution = _LAYERS[dimensions].convolution(inputs, outputs, patch, stride=patch)

    def forward(self, features: Tensor) -> Tensor:
        padding = [amount for side in reversed(features.shape[2:]) for amount in (0, -side % self.patch)]
        if any(padding):
            features = functional.pad(features, padding)
        return self.convolution(features)


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution, then an inverted bottleneck per pixel, both within one shortcut."""

    def __init__(self, dimensions: int, width: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = _convolution(dimensions, width, width, kernel, groups=width, bias=True)
        self.pointwise = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.gain = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, features: Tensor) -> Tensor:
        update = self.pointwise(self.depthwise(features).movedim(1, -1)) * self.gain
        return features + update.movedim(-1, 1)


class ConvNet(nn.Module):
    """ConvNeXt (Liu et al. 2022, https://arxiv.org/abs/2201.03545); with the defaults, ConvNeXt-T.

    Args:
        dimensions, channels, outputs: as for `ResNet`.
        size: sides of the images in pixels; patches of the stem are 2 pixels wide up to 64, 4 above.
        widths: channels of each stage; each stage after the first halves the sides.
        blocks: blocks in each stage.
        kernel: side of the depthwise kernel; odd.
        dropout: share of pooled features dropped before the head while training.
    """

    def __init__(
        self,
        *,
        dimensions: int,
        channels: int,
        outputs: int,
        size: Sequence[int],
        widths: Sequence[int] = (96, 192, 384, 768),
        blocks: Sequence[int] = (3, 3, 9, 3),
        kernel: int = 7,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        patch = 2 if max(size) <= SMALL else 4
        layers: list[nn.Module] = [_Patches(dimensions, channels, widths[0], patch), _ChannelNorm(widths[0])]
        for stage, (width, depth) in enumerate(zip(widths, blocks, strict=True)):
            if stage > 0:
                inputs = widths[stage - 1]
                layers += [_ChannelNorm(inputs), _Patches(dimensions, inputs, width, 2)]
            layers += [ConvNeXtBlock(dimensions, width, kernel) for _ in range(depth)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.LayerNorm(widths[-1]), nn.Dropout(dropout), nn.Linear(widths[-1], outputs))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(_mean(self.features(images)))


NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "small-cnn": SmallCNN,
    "resnet": ResNet,
    "resnet50": partial(ResNet, block=Bottleneck, blocks=(3, 4, 6, 3)),
    "convnet": ConvNet,
}
