"""The recipe of an image network: what it is fed, how it is judged, how it is asked and why it answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from medeor.contracts import Attribution, Cases, Predictions, Run, UserError
from medeor.imaging.model import explain
from medeor.imaging.model.augment import Augmentation, AugmentationParams, apply, each, sample_params
from medeor.imaging.model.network import build as build_network
from medeor.imaging.model.network import last_features
from medeor.imaging.model.prepare import Preparation, PreparedAsJson, standardised
from medeor.imaging.model.prepared import PreparedImages, prepare, scaled
from medeor.imaging.plan import ImageNetwork, ImagePlan, ImageTraining
from medeor.learning.networks.batches import Rows, count, rows
from medeor.learning.networks.devices import fast_bfloat16
from medeor.learning.networks.heads import Heads, heads_for, heads_from
from medeor.learning.networks.keyed import case_keys, uniform
from medeor.learning.networks.summaries import Summaries, summaries_of
from medeor.learning.saved import AsJson
from medeor.settings import build
from medeor.statistics.moments import Moments

ON_PROCESSOR, ON_ACCELERATOR = (16, 1 << 16), (256, 1 << 20)
"""Images asked at once, and pixels or voxels of these. More are slower on a processor, as their maps no longer fit into
its caches."""
CHUNK_NUMBERS = 1 << 19
"""Pixels that are changed at once: few enough for a cache, enough to make the steps worth their call."""
MOMENTS_AT_ONCE = 1 << 24
"""Numbers of which mean and spread are taken at once."""
ASKED_AT_ONCE = 1 << 24
"""Numbers of images that are brought to their scale and asked together."""
MIXUP_STREAM = 1 << 12
"""A stream of random numbers that no augmentation uses."""


@dataclass(frozen=True)
class ImageProcessors(AsJson):
    """What is fitted on the training images of one network."""

    heads: Heads
    each: bool | tuple[bool, ...]
    """Whether each image is standardised by itself, also after it was augmented; for all channels, or one a channel."""
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    """Mean and standard deviation of each channel of all prepared images."""

    holds_training_values: ClassVar[bool] = False

    def scaled(self, images: Tensor) -> Tensor:
        """Prepared images, shape (n, channels, *size), with each channel at mean 0 and standard deviation 1."""
        if self.each is True:
            return standardised(images.float())
        shape = (1, -1, *[1] * (images.ndim - 2))
        mean = torch.tensor(self.mean, device=images.device).view(shape)
        spread = torch.tensor(self.spread, device=images.device).view(shape)
        together = (images.float() - mean) / spread
        if self.each is False:
            return together
        alone = torch.tensor(self.each, device=images.device).view(shape)
        return torch.where(alone, standardised(images.float()), together)


@dataclass(frozen=True)
class AugmentedChunk:
    """The images of several batches, which are changed at once: many small steps for each batch would cost more."""

    stored: Tensor
    """Shape (n, channels, *size), see `PreparedImages.stored`."""
    scales: Tensor
    drawn: AugmentationParams
    """What happens to each image."""
    processors: ImageProcessors
    size: int
    """Images in a batch; the last batch may have fewer."""
    spacing: tuple[float, ...] | None = None
    """Millimetres between pixels, where they are known and differ."""

    @cached_property
    def _changed(self) -> dict[tuple[int, int, torch.device], tuple[Tensor, ...]]:
        return {}

    def inputs(self, place: int, rank: int, world: int, device: torch.device) -> Tensor:
        """One process's share of the batch at `place`, changed and scaled."""
        key = rank, world, device
        if key not in self._changed:
            self._changed[key] = self._change(*key)
        return self._changed[key][place]

    def _change(self, rank: int, world: int, device: torch.device) -> tuple[Tensor, ...]:
        shares = [rows[rank::world] for rows in torch.arange(len(self.stored)).split(self.size)]
        mine = torch.cat(shares)
        stored, scales, drawn = self.stored, self.scales, self.drawn
        if world > 1:
            stored, scales, drawn = stored[mine], scales[mine], each(drawn, mine)
        if device.type == "cuda":
            stored = stored.pin_memory()
        images = scaled(stored.to(device, non_blocking=True), scales.to(device, non_blocking=True))
        images = apply(images, each(drawn, device), self.spacing)
        images = self.processors.scaled(images)
        images = images.to(memory_format=torch.channels_last if images.ndim == 4 else torch.channels_last_3d)
        return images.split([len(rows) for rows in shares])


@dataclass(frozen=True)
class ImageBatch(Rows):
    """Images with their truth; what each is changed by follows from its seed, epoch and case alone."""

    chunk: AugmentedChunk
    place: int
    """Which batch of the chunk."""
    truth: Tensor
    """Shape (n, columns), see `Heads.truth`."""
    processors: ImageProcessors
    smoothing: float = 0.0
    mixed: Tensor | None = None
    """Shape (n,): share that each image keeps when it is mixed with the next one of the batch."""
    rank: int = 0
    world: int = 1

    @property
    def inputs(self) -> Tensor:
        images = self.chunk.inputs(self.place, self.rank, self.world, self.truth.device)
        if self.mixed is not None:
            share = self.mixed.view(-1, *[1] * (images.ndim - 1))
            images = share * images + (1 - share) * images.roll(1, 0)
        return images

    def shard(self, rank: int, world: int) -> ImageBatch:
        return replace(super().shard(rank, world), rank=rank, world=world)


@dataclass(frozen=True)
class ImageBatches:
    """Every training case once an epoch, in an order of its own; a last batch smaller than half is left out."""

    images: PreparedImages
    truth: Tensor
    processors: ImageProcessors
    augmentation: Augmentation
    training: ImageTraining
    seed: int
    spacing: tuple[float, ...] | None = None

    def __len__(self) -> int:
        return count(len(self.images), self.training.batch)

    def batch(self, epoch: int, index: int) -> ImageBatch:
        chosen = self._rows(epoch, index, 1)
        number, place = divmod(index, self._together)
        chunk, truth, mixup = self._chunk(epoch, number), self.truth[chosen], self.training.mixup
        mixed = _shares(case_keys(self.seed, epoch, chosen), mixup) if mixup else None
        return ImageBatch(chunk, place, truth, self.processors, self.training.smoothing, mixed)

    @cached_property
    def _together(self) -> int:
        """Batches in a chunk."""
        return max(1, CHUNK_NUMBERS // (self.training.batch * math.prod(self.images.shape[1:])))

    @cached_property
    def _chunk(self) -> Callable[[int, int], AugmentedChunk]:
        """The chunk of an epoch by its number; the last one made is kept."""

        @lru_cache(maxsize=1)
        def chunk(epoch: int, number: int) -> AugmentedChunk:
            chosen = self._rows(epoch, number * self._together, self._together)
            drawn = sample_params(self.augmentation, case_keys(self.seed, epoch, chosen), len(self.images.shape) - 2)
            stored = self.images.stored(chosen)
            return AugmentedChunk(*stored, drawn, self.processors, self.training.batch, self.spacing)

        return chunk

    def _rows(self, epoch: int, begin: int, batches: int) -> Tensor:
        return rows(len(self.images), self.training.batch, self.seed, epoch, begin, batches)


def _shares(keys: Tensor, alpha: float) -> Tensor:
    """Shares from a symmetric beta distribution, shape (n,)."""
    from scipy.special import betaincinv

    chance = uniform(keys, MIXUP_STREAM)[:, 0].double().numpy()
    return torch.from_numpy(betaincinv(alpha, alpha, chance)).float()


@dataclass(frozen=True)
class ImageRecipe(PreparedAsJson):
    """See `contracts.Recipe`."""

    joinable: ClassVar[bool] = True
    preparation: Preparation
    network_facts: ImageNetwork
    augmentation: Augmentation
    training: ImageTraining
    mirrored: bool
    kind: str = "image-recipe"

    @classmethod
    def of(cls, plan: ImagePlan) -> ImageRecipe:
        return cls(plan.preparation, plan.network, plan.augmentation, plan.training, plan.mirrored)

    def summaries(self, cases: Cases) -> Summaries:
        images = prepare(cases, self.preparation)
        # A thousand images say enough of the scale of all of them.
        return summaries_of(cases, _moments(images.every(max(1, len(images) // 1000))))

    def processors(self, summaries: Summaries) -> ImageProcessors:
        assert summaries.inputs is not None
        heads, pixels = heads_for(summaries, self.training.balanced), summaries.inputs
        mean = pixels.mean.astype(np.float32)
        spread = np.sqrt(pixels.squares / (pixels.count - 1)).astype(np.float32)
        alone = tuple(one == "image" for one in self.preparation.intensities)
        each = alone[0] if len(set(alone)) == 1 else alone
        return ImageProcessors(heads, each, tuple(mean.tolist()), tuple(spread.clip(1e-6).tolist()))

    def restore(self, processors: Mapping[str, object]) -> ImageProcessors:
        heads = heads_from(processors.get("heads"), "model.json")
        made = build(ImageProcessors, {**processors, "heads": heads}, "model.json")
        if not len(made.mean) == len(made.spread) == self.preparation.channels or min(made.spread) <= 0:
            raise UserError("imaging.recipe.damaged")
        return made

    def batches(self, cases: Cases, processors: ImageProcessors, seed: int) -> ImageBatches:
        images, truth = prepare(cases, self.preparation), processors.heads.truth(cases)
        return ImageBatches(images, truth, processors, self.augmentation, self.training, seed, self.preparation.spacing)

    def network(self, processors: ImageProcessors) -> nn.Module:
        return build_network(
            self.network_facts.name,
            dimensions=len(self.preparation.size),
            channels=self.preparation.channels,
            outputs=processors.heads.outputs,
            size=self.preparation.size,
            spacing=_network_spacing(self.preparation),
            **self.network_facts.options(),
        )

    def loss(self, outputs: Tensor, batch: ImageBatch) -> tuple[Tensor, Tensor]:
        loss, weight = batch.processors.heads.loss(outputs, batch.truth, batch.smoothing)
        if batch.mixed is not None:
            other, other_weight = batch.processors.heads.loss(outputs, batch.truth.roll(1, 0), batch.smoothing)
            loss = batch.mixed * loss + (1 - batch.mixed) * other
            weight = batch.mixed * weight + (1 - batch.mixed) * other_weight
        return loss.sum(), weight.sum()

    def export_module(self, network: nn.Module, processors: ImageProcessors) -> tuple[nn.Module, Tensor]:
        example = torch.rand(2, self.preparation.channels, *self.preparation.size)
        return ExportedNetwork(network, processors, self.mirrored).eval(), example

    def infer(self, network: nn.Module, cases: Cases, processors: ImageProcessors, run: Run) -> Iterator[Predictions]:
        images = prepare(cases, self.preparation)
        values = np.empty((len(images), len(processors.heads.items)), np.float32)
        for chosen, some in images.chunks(ASKED_AT_ONCE):
            values[chosen] = self._ask(network, some, processors)
        yield processors.heads.predictions(cases, values)

    def attribute(
        self, network: nn.Module, cases: Cases, items: Sequence[str], processors: ImageProcessors, run: Run
    ) -> list[Attribution]:
        images = processors.scaled(prepare(cases, self.preparation)[:])
        torch.manual_seed(run.seed + 1)
        untrained = self.network(processors).eval()
        places = [processors.heads.items.index(item) for item in items]
        reasons = []
        for method in _methods(network, images):
            maps = explain.maps(network, images, places, method)
            random = explain.maps(untrained, images, places, method)
            for i, case_id in enumerate(cases.ids):
                reasons.append(Attribution(case_id, items[i], method, maps[i], untrained=random[i]))
        return reasons

    def ablate(
        self, network: nn.Module, case: Cases, item: str, kept: np.ndarray, processors: ImageProcessors, run: Run
    ) -> np.ndarray:
        image = prepare(case, self.preparation)[:]
        partly = torch.where(torch.from_numpy(kept)[:, None], image, explain.blurred(image))
        # Areas under curves need no more digits than bfloat16 has.
        with torch.autocast(partly.device.type, torch.bfloat16, enabled=fast_bfloat16()):
            return self._ask(network, partly, processors)[:, processors.heads.items.index(item)]

    def _ask(self, network: nn.Module, images: Tensor, processors: ImageProcessors) -> np.ndarray:
        """Values of the items for prepared images, shape (n, items). All batches have one shape, the last one filled up
        with its last image: another shape would take other kernels, and answers would depend on what is asked beside.
        """
        module, _ = self.export_module(network, processors)
        device = next(iter(network.parameters())).device
        together = _together(images[0], device)
        values = torch.empty(len(images), len(processors.heads.items))
        for start in range(0, len(images), together):
            batch = images[start : start + together]
            whole = torch.cat([batch, batch[-1:].expand(together - len(batch), *batch.shape[1:])])
            values[start : start + together] = module(whole.to(device))[: len(batch)]
        return values.numpy()


def _together(image: Tensor, device: torch.device) -> int:
    """Images in a batch that is asked. Of volumes two at least: PyTorch takes ten times as long for one alone, of which
    it cannot tell how it lies in memory."""
    most, pixels = ON_PROCESSOR if device.type == "cpu" else ON_ACCELERATOR
    return max(1 if image.ndim == 3 else 2, min(most, pixels // math.prod(image.shape[1:])))


def _moments(images: PreparedImages) -> Moments:
    """Of each channel of many images, a part of them in memory at a time where they are large."""
    axes = (0, *range(2, len(images.shape)))
    numbers = math.prod(images.shape)
    count = numbers // images.shape[1]
    counts = np.full(images.shape[1], float(count))
    if numbers <= MOMENTS_AT_ONCE:
        sample = images[:]
        spread = sample.std(axes).double().numpy()
        return Moments(counts, sample.mean(axes).double().numpy(), spread**2 * (count - 1))
    mean, square = torch.zeros(2, images.shape[1], dtype=torch.float64)
    for _, some in images.chunks(MOMENTS_AT_ONCE // 8):
        mean += some.double().sum(axes) / count
    for _, some in images.chunks(MOMENTS_AT_ONCE // 8):
        away = some.double() - mean.view(1, -1, *[1] * (some.ndim - 2))
        square += away.square().sum(axes)
    return Moments(counts, mean.numpy(), square.numpy())


def _network_spacing(preparation: Preparation) -> tuple[float, ...] | None:
    """Spacing of the grid as a network for volumes is built by it; where millimetres are not known, as if the volumes
    were as deep as they are wide. None for flat images and for models of medeor 0.1."""
    if len(preparation.size) == 2 or preparation.arithmetic == 1:
        return None
    return preparation.spacing or tuple(max(preparation.size) / side for side in preparation.size)


def _methods(network: nn.Module, images: Tensor) -> list[str]:
    """The methods that can explain this network: Grad-CAM needs a feature map, which a user's own need not have."""
    try:
        last_features(network, images[:1].to(next(network.parameters()).device))
    except UserError:
        return [method for method in explain.METHODS if method != "grad-cam"]
    return list(explain.METHODS)


class ExportedNetwork(nn.Module):
    """Prepared images, shape (n, channels, *size), to values of the items, shape (n, items)."""

    def __init__(self, network: nn.Module, processors: ImageProcessors, mirrored: bool) -> None:
        super().__init__()
        self.network, self.processors, self.mirrored = network, processors, mirrored

    def forward(self, images: Tensor) -> Tensor:
        images = self.processors.scaled(images)
        if images.ndim == 4:
            images = images.to(memory_format=torch.channels_last)
        values = self.processors.heads.values(self.network(images))
        if self.mirrored:
            values = (values + self.processors.heads.values(self.network(images.flip(-1)))) / 2
        return values
