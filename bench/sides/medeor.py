"""medeor's speed: `python -m bench.sides.medeor KIND PATH`. KIND says what is fitted, PATH how much of the work is
done: `fit` is the whole loop; `step` the same step on one batch that is already on the device, and `bare` without the
average of the weights: the limits; `data` makes the batches alone."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.sides import answer
from medeor import api
from medeor.console import Console
from medeor.contracts import Batches, Cases, Run
from medeor.imaging import plan as planning
from medeor.imaging.model.augment import Augmentation
from medeor.imaging.model.recipe import ImageProcessors, ImageRecipe
from medeor.imaging.plan import ImageNetwork, ImagePlan, ImageTraining
from medeor.learning.networks.devices import channels_last, device
from medeor.learning.networks.fit import State, _optimiser, fit_network
from medeor.machine import threads
from medeor.road.walk import reading

SECONDS = 4.0
"""A stretch lasts about so long."""
WARM = 5
"""Steps at the start of a stretch that are not counted."""
MILD = Augmentation(
    rotation=(-10.0, 10.0),
    scale=(0.9, 1.1),
    translation=(-0.07, 0.07),
    flips=(0.0, 0.5),
    brightness=(-0.1, 0.1),
    contrast=(0.8, 1.25),
)
"""What MONAI is asked to do as well: see `peer_monai`."""


@dataclass(frozen=True)
class Work:
    """What is fitted."""

    plan: ImagePlan
    recipe: ImageRecipe
    processors: ImageProcessors
    batches: Batches


def work(kind: str) -> Work:
    """`keras`: the small CNN on simulated grey images of 28 pixels in ten classes, batches of 128, no augmentation;
    `default:NAME`: the default plan on the training part of a known data set; `mild:NAME`: with the augmentation that
    MONAI can do as well; `resnet50`: ResNet-50 on simulated colour images of 224 pixels."""
    kind, _, name = kind.partition(":")
    cases = _known(name) if name else _simulated(*((28, 2560, 1, 10) if kind == "keras" else (224, 256, 3, 2)))
    plan = planning.rules(cases)
    if kind == "keras":
        network = ImageNetwork(name="bench.networks:KerasCNN")
        # Keras keeps no average of the weights either.
        schedule = replace(plan.schedule, averaging=0.0)
        plan = replace(
            plan, network=network, augmentation=Augmentation(), training=ImageTraining(batch=128), schedule=schedule
        )
    elif kind == "mild":
        plan = replace(plan, augmentation=MILD)
    elif kind == "resnet50":
        network = ImageNetwork(name="resnet50", widths=(64, 128, 256, 512))
        plan = replace(plan, network=network, training=ImageTraining(batch=64))
    recipe = ImageRecipe.of(plan)
    processors = recipe.processors(recipe.summaries(cases))
    return Work(plan, recipe, processors, recipe.batches(cases, processors, 0))


def _known(name: str) -> Cases:
    read = reading.read(api.asked(name), Console(quiet=True))
    return read.split.part(read.cases, "train")


def _simulated(side: int, count: int, channels: int, classes: int) -> Cases:
    generator = np.random.default_rng(0)
    shape = (count, side, side) if channels == 1 else (count, side, side, channels)
    images = generator.integers(0, 256, shape, dtype=np.uint8)
    return reading.read(api.asked(images, generator.integers(0, classes, count)), Console(quiet=True)).cases


class Enough(Exception):
    """The stretch has lasted long enough."""


class Clock:
    """Notes when each step ends; ends the stretch after `SECONDS` beyond the warm-up."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def tick(self) -> bool:
        # Work on an accelerator goes on after its call has returned; once in a while it is waited for.
        if torch.cuda.is_available() and len(self.marks) % 10 == WARM:
            torch.cuda.synchronize()
        self.marks.append(time.perf_counter())
        if len(self.marks) > WARM + 10 and self.marks[-1] - self.marks[WARM - 1] > SECONDS:
            raise Enough
        return False

    def speed(self, batch: int) -> float:
        """Images a second."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            self.marks[-1] = time.perf_counter()
        return batch * (len(self.marks) - WARM) / (self.marks[-1] - self.marks[WARM - 1])


def fit(work: Work) -> float:
    """The fit loop as `NetworkMethod` calls it."""
    torch.manual_seed(0)
    clock = Clock()
    schedule = replace(work.plan.schedule, epochs=1 << 20, checkpoint=1 << 30)
    with tempfile.TemporaryDirectory() as room, suppress(Enough):
        run = Run(Path(room), threads=threads(), stopping=clock.tick)
        fit_network(work.recipe.network(work.processors), work.batches, work.recipe.loss, schedule, run)
    return clock.speed(work.plan.training.batch)


def resident(work: Work, averaged: bool) -> float:
    """The same network, loss and optimiser on one batch that is already where it is needed."""
    torch.manual_seed(0)
    network = channels_last(work.recipe.network(work.processors)).to(device()).train()
    optimiser = _optimiser(network, work.plan.schedule)
    state = State(network, optimiser, work.plan.schedule)
    batch = work.batches.batch(0, 0).to(device())
    images = batch.inputs.clone(memory_format=torch.preserve_format)
    narrow = work.plan.schedule.precision == "bf16"
    clock = Clock()
    with suppress(Enough):
        for step in range(1 << 30):
            with torch.autocast(device().type, torch.bfloat16, enabled=narrow):
                outputs = network(images)
            total, weight = work.recipe.loss(outputs.float(), batch)  # type: ignore[arg-type]
            (total / weight).backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if averaged:
                state.average(step)
            clock.tick()
    return clock.speed(work.plan.training.batch)


def data(work: Work) -> float:
    """Batches alone."""
    clock = Clock()
    with suppress(Enough):
        for step in range(1 << 30):
            images: Tensor = work.batches.batch(*divmod(step, len(work.batches))).to(device()).inputs
            clock.tick()
    return clock.speed(len(images))


def main() -> None:
    torch.set_num_threads(threads())
    asked = work(sys.argv[1])
    paths = {
        "fit": lambda: fit(asked),
        "step": lambda: resident(asked, averaged=True),
        "bare": lambda: resident(asked, averaged=False),
        "data": lambda: data(asked),
    }
    answer(paths[sys.argv[2]])


if __name__ == "__main__":
    main()
