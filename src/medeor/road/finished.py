"""What a finished run answered on its own cases, and how it answers on other labelled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from medeor import catalogue
from medeor.console import Console
from medeor.contracts import IN_DOMAIN, Cases, Measures, Message, Predictions, Sources, Study, Target, Text, UserError
from medeor.files import read_json, read_parquet, write_json
from medeor.formats.values.targets import positive_class
from medeor.learning.predictions import load_arrays
from medeor.road.bundle import Trained, load
from medeor.road.walk.reading import reasons
from medeor.road.walk.results import PARTS, measures_json, place_of_arrays


def results(folder: Path, trust: str | Sequence[str] = ()) -> tuple[Cases, Predictions]:
    """The cases that a finished run was evaluated on, with its predictions, read back from its folder."""
    trained = load(folder, trust=trust)
    if not (folder / "predictions.parquet").exists():
        raise UserError("road.finished.no-predictions", folder=folder)
    table = read_parquet(folder / "predictions.parquet").filter(pl.col("model") == "model")
    cases = read_parquet(folder / "cases.parquet").join(table.select("case_id").unique(), on="case_id", how="semi")
    places = [place_of_arrays(folder, part, "model") for part in table["part"].unique()]
    arrays = {case: path for place in places for case, path in load_arrays(place).items()}
    return Cases(cases, trained.targets), Predictions(table.drop("part", "model"), arrays)


def score(trained: Trained, other: Study, name: str, console: Console) -> Measures:
    """Measures on other labelled data, which also go into the run's `metrics.json` as the part `name`. Reports how many
    cases were set aside, how many were in the training data, and how many are unlike it."""
    if name in PARTS:
        raise UserError("road.finished.own-part", name=name)
    with trained.at_work():
        every = _labelled(trained, other)
        cases = every.usable
        if len(cases) < len(every):
            excluded = len(every) - len(cases)
            console.say(Message("road.finished.excluded", count=excluded, total=len(every), reasons=reasons(every)))
        if not len(cases):
            raise UserError("road.finished.none-usable")
        noticed = (finding for finding in cases.findings if finding.status != "pass")
        for finding in (*positive_class(trained.targets), *noticed):
            console.say(finding.message)
        if known := trained.trained_on(cases):
            console.say(Message("road.finished.trained-on", count=known, total=len(cases)))
        predictions = trained.predict_cases(cases)
        if "verdict" in predictions.table.columns:
            unlike = predictions.table.unique("case_id").filter(pl.col("verdict") != IN_DOMAIN)
            for verdict, count in unlike["verdict"].value_counts(sort=True).iter_rows():
                console.say(Message(f"road.finished.verdict.{verdict}", count=count, total=len(cases)))
        measures = trained.task.evaluate(cases, predictions)
    metrics = trained.folder / "metrics.json"
    if metrics.exists():
        write_json(metrics, {**read_json(metrics), name: measures_json(measures)})
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
        raise UserError("road.finished.no-labels")
    if cases.targets != trained.targets:
        theirs, ours = (tuple(map(_named, targets)) for targets in (cases.targets, trained.targets))
        raise UserError("road.finished.other-targets", theirs=theirs, ours=ours)
    return replace(cases, prevalences=other.prevalence or trained.study.prevalence)


def _named(target: Target) -> Text:
    return Message("registry.meaning", key=target.name, meaning=target.classes) if target.classes else target.name
