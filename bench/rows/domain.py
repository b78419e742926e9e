"""Which images are called out of domain: new ones of the same source, noise, inverted ones, those of other sources. The
verdict does not depend on the network, so none is fitted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from bench.workload import Row
from medeor import simulate
from medeor.api import asked
from medeor.console import Console
from medeor.contracts import BORDERLINE, OUT_OF_DOMAIN, Cases, Measure, Run, Sources, Split, Study
from medeor.formats.images.arrays import ImageArray
from medeor.imaging.model.domain import ImageDomain, learn
from medeor.imaging.model.recipe import ImageRecipe
from medeor.imaging.plan import rules
from medeor.imaging.read.cases import ImageStore, read_cases
from medeor.road.walk import reading
from medeor.statistics.split import FOLDS, split_cases

Pixels = NDArray[np.generic]
SIMULATED = {"simulated-xray": "xray", "simulated-ultrasound": "ultrasound", "simulated-ct": "ct"}
OTHERS = ("breastmnist", "pneumoniamnist", "pcam", *SIMULATED)
SAME_ORGAN = ({"pneumoniamnist", "simulated-xray"}, {"breastmnist", "simulated-ultrasound"})
"""Sources that show the same by the same modality."""
PATIENTS = 500
CHANGED = 200
"""Test images that are changed in each way, or taken of each other source."""


def shares(row: Row) -> dict[str, Measure]:
    """By kind of input the share called out of domain, and (`not in domain`) borderline or out of domain."""
    torch.set_num_threads(row.threads)
    cases, split = known(row.data, row.seed)
    plan = rules(split.part(cases, "train", "validation"))
    began = time.perf_counter()
    domain, _ = learn(cases, split, plan.preparation)
    fitted = time.perf_counter() - began
    if row.data in SIMULATED:
        tested = pixels(known(row.data, row.seed + 1000)[0])
    else:
        tested = pixels(split.part(cases, "test"))
    figures = dict(judged(domain, "same source", tested))
    rng = np.random.default_rng(row.seed)
    some = [tested[place] for place in rng.permutation(len(tested))[:CHANGED]]
    for name, images in changed(some, rng):
        figures |= judged(domain, name, images)
    for other in OTHERS:
        if other != row.data and (other == "simulated-ct") == (row.data == "simulated-ct"):
            kind = "same organ" if {other, row.data} in SAME_ORGAN else "other source"
            others = pixels(known(other, row.seed)[0])
            taken = [others[place] for place in rng.permutation(len(others))[:CHANGED]]
            figures |= judged(domain, f"{kind}, {other}", fitting(taken, plan.preparation.channels))
    learnt = len(split.part(cases, "train", "validation"))
    figures["seconds to fit, for 1,000 images"] = Measure(1000 * fitted / learnt, n=learnt)
    figures["time, share of the network's"] = Measure(ratio(domain, ImageRecipe.of(plan), cases))
    return figures


def known(name: str, seed: int) -> tuple[Cases, Split]:
    """The cases of a source and their split."""
    if name not in SIMULATED:
        found = reading.read(asked(name, seed=seed), Console(quiet=True))
        return found.cases, found.split
    made = simulate.hospital(PATIENTS, seed=seed, kind=SIMULATED[name])  # type: ignore[arg-type]
    labels = made.table.select("lesion", "patient_id")
    question = Study((made.images, labels), target=("lesion",), group="patient_id", split="cv")
    cases = read_cases(Sources((made.images, labels), {}), question).usable
    return cases, split_cases(cases, question)


def pixels(cases: Cases) -> list[Pixels]:
    """Each image as it was stored, shape (channels, *sides)."""
    store = cases.store("images", ImageStore)
    return [store.read(keys).pixels for keys in cases.table["images"].to_list()]


def fitting(images: Sequence[Pixels], channels: int) -> list[Pixels]:
    """Colour as grey where the model takes grey; grey is taken by a model of colour as it is."""
    return [np.rint(one.mean(0, keepdims=True)).astype(one.dtype) if len(one) > channels else one for one in images]


def changed(images: Sequence[Pixels], rng: np.random.Generator) -> Iterator[tuple[str, list[Pixels]]]:
    """The same number of images that are no more what they were, by name; of images of 8 bits."""

    def bits(values: NDArray[np.float64]) -> Pixels:
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)

    def normal(one: Pixels) -> NDArray[np.float64]:
        return rng.standard_normal(one.shape)

    yield "noise, uniform", [bits(rng.uniform(0, 255, one.shape)) for one in images]
    for strength in (0.02, 0.1, 0.3):
        yield f"noise, normal {strength:g}", [bits(255 * (0.5 + strength * normal(one))) for one in images]
    yield "noise, as bright as the image", [bits(one.mean() + one.std() * normal(one)) for one in images]
    yield "inverted", [255 - one for one in images]
    for strength in (0.05, 0.1, 0.2):
        yield f"added noise {strength:g}", [bits(one + 255 * strength * normal(one)) for one in images]
    yield "rotated by 90°", [np.ascontiguousarray(np.rot90(one, 1, (-2, -1))) for one in images]


def unlabelled(images: Sequence[Pixels]) -> Cases:
    """Cases of any sizes."""
    arrays = {f"image-{place}": ImageArray((1, *one.shape), one.dtype, one[None]) for place, one in enumerate(images)}
    sides = [one.shape[1:] for one in images]
    facts = {
        "case_id": [f"{place}" for place in range(len(images))],
        "images": [[f"image-{place}/0"] for place in range(len(images))],
        "width": [one[-1] for one in sides],
        "height": [one[-2] for one in sides],
    }
    return Cases(pl.DataFrame(facts), stores={"images": ImageStore({}, arrays)})


def judged(domain: ImageDomain, name: str, images: Sequence[Pixels]) -> dict[str, Measure]:
    verdict = domain.judge(unlabelled(images))["verdict"]
    out, border = (verdict == OUT_OF_DOMAIN).mean(), (verdict == BORDERLINE).mean()
    return {name: Measure(out, n=len(images)), f"{name}: not in domain": Measure(out + border, n=len(images))}


def ratio(domain: ImageDomain, recipe: ImageRecipe, cases: Cases, repeats: int = 5) -> float:
    """Seconds that the verdict takes, over those of an ensemble of networks as planned; medians of turns."""
    some = cases.where(pl.Series(np.arange(len(cases)) < 500))
    processors = recipe.processors(recipe.summaries(some))
    network = recipe.network(processors).eval()
    run = Run(Path())
    ours, theirs = [], []
    with torch.inference_mode():
        for _ in range(repeats):
            began = time.perf_counter()
            domain.judge(some)
            ours.append(time.perf_counter() - began)
            began = time.perf_counter()
            for _ in range(FOLDS):
                list(recipe.infer(network, some, processors, run))
            theirs.append(time.perf_counter() - began)
    return float(np.median(ours) / np.median(theirs))
