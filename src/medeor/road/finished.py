"""What a finished run answered on its own cases, and how it answers on other labelled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from medeor import catalogue
from medeor.console import Console
from medeor.contracts import IN_DOMAIN, Cases, Measures, Predictions, Sources, Study, UserError
from medeor.files import read_json, read_parquet, write_json
from medeor.formats.values.targets import positive_class
from medeor.learning.predictions import load_arrays
from medeor.road.bundle import Trained, load
from medeor.road.reading import reasons
from medeor.road.results import PARTS, place_of_arrays


def results(folder: Path, trust: str | Sequence[str] = ()) -> tuple[Cases, Predictions]:
    """The cases that a finished run was evaluated on, with its predictions, read back from its folder."""
    trained = load(folder, trust=trust)
    if not (folder / "predictions.parquet").exists():
        raise UserError(f"{folder} holds no predictions: a bundle or an unfinished run cannot be compared")
    table = read_parquet(folder / "predictions.parquet").filter(pl.col("model") == "model")
    cases = read_parquet(folder / "cases.parquet").join(table.select("case_id").unique(), on="case_id", how="semi")
    places = [place_of_arrays(folder, part, "model") for part in table["part"].unique()]
    arrays = {case: path for place in places for case, path in load_arrays(place).items()}
    return Cases(cases, trained.targets), Predictions(table.drop("part", "model"), arrays)


def score(trained: Trained, other: Study, name: str, console: Console) -> Measures:
    """Measures on other labelled data, which also go into the run's `metrics.json` as the part `name`. Reports how many
    cases were set aside, how many were in the training data, and how many are unlike it."""
    if name in PARTS:
        raise UserError(f"'{name}' is a part of the study itself; name these data otherwise")
    with trained.at_work():
        every = _labelled(trained, other)
        cases = every.usable
        if len(cases) < len(every):
            console.say(f"{len(every) - len(cases)} of {len(every)} cases are set aside: {reasons(every)}")
        if not len(cases):
            raise UserError("none of these cases can be scored; put right what is said of them, or give others")
        noticed = (finding for finding in cases.findings if finding.status != "pass")
        for finding in (*positive_class(trained.targets), *noticed):
            console.say(finding.message)
        if known := trained.trained_on(cases):
            console.say(
                f"{known} of the {len(cases)} cases that are scored taught this model (the same content): "
                "expect less of new cases"
            )
        predictions = trained.predict_cases(cases)
        if "verdict" in predictions.table.columns:
            told = predictions.table.unique("case_id").filter(pl.col("verdict") != IN_DOMAIN)
            for verdict, count in told["verdict"].value_counts(sort=True).iter_rows():
                console.say(f"{count} of the {len(cases)} cases that are scored are {verdict} (see `medeor predict`)")
        measures = trained.task.evaluate(cases, predictions)
    metrics = trained.folder / "metrics.json"
    if metrics.exists():
        write_json(metrics, {**read_json(metrics), name: {key: m._asdict() for key, m in measures.items()}})
    return measures


def _labelled(trained: Trained, other: Study) -> Cases:
    """The cases of another study with the targets of this model. Raises: UserError where they have none, or others."""
    other = replace(
        other,
        task=other.task or trained.study.task,
        target=other.target or tuple(target.name for target in trained.targets),
        options={**trained.study.options, **other.options},
    )
    located = tuple(catalogue.opened(source, Console()) for source in other.sources)
    inherited = () if other.subgroups else trained.study.subgroups
    cases = trained.task.read(Sources(located, {}, subgroups=inherited, model=trained), other)
    if not cases.targets:
        raise UserError("these cases hold no labels to score against; give a table of them with --labels")
    if cases.targets != trained.targets:
        raise UserError(
            f"these cases ask for {[t.name for t in cases.targets]} with classes {[t.classes for t in cases.targets]}; "
            f"the model answers {[t.name for t in trained.targets]} with {[t.classes for t in trained.targets]}"
        )
    return replace(cases, prevalences=other.prevalence or trained.study.prevalence)
