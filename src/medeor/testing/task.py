"""What every task keeps on the road: walked on its example in each state."""

from __future__ import annotations

import dataclasses
import inspect
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace

import polars as pl
import tomli_w

from medeor import api, registry
from medeor.console import Console
from medeor.contracts import ROAD, SHAPES, Budget, FileFacts, Predictions, Run, TaskFacts
from medeor.files import plain, read_json
from medeor.learning.folds import HELD_OUT
from medeor.learning.predictions import load_predictions
from medeor.road.bundle import load
from medeor.road.finished import results
from medeor.road.walk.reading import read
from medeor.settings import build
from medeor.testing.checks import Check, named, refused_or_done, require
from medeor.testing.example import MOST_CASES, Runs
from medeor.testing.method import honest
from medeor.testing.model import model_checks, only_registered, reasons_of
from medeor.testing.recipe import recipe_checks
from medeor.testing.sameness import finite, same_files, same_predictions

LEFT = {
    "read": "cases.parquet", "split": "split.parquet", "audit": "audit.json", "plan": "plan.toml",
    "fit": "model/model.json", "calibrate": "calibration.json", "evaluate": "metrics.json",
    "explain": "explanations/explanations.json", "report": "report.html", "bundle": "run.medeor",
}  # fmt: skip
"""What each step leaves in the run folder."""

KEPT = {".json", ".jsonl", ".safetensors", ".parquet", ".npy"}
"""How the files of a fit end."""


def check_task(facts: TaskFacts) -> Iterator[Check]:
    """Checks of a task, its methods, models and recipes, on the example that its facts name:

    - `facts`: whatever the facts and the task name is there.
    - `plan`: it comes back from TOML, and does not depend on the answers of the test part.
    - `walk`: each step leaves its file, and all are on the example of at most 40 cases.
    - `resume`: stopped whenever there is a new file, and gone on with, the run has the same bits, and keeps them when
      it is walked again.
    - `held-out`: the run keeps what was held out of its fits: cases that are not tested, answered once an item.
    - `predictions`: those that the run keeps are those of the model that it keeps, arrays among them.
    - `files`: a fit leaves files of known endings, without a pickle, and models of registered kinds.
    - `bundle`: opened in another folder, without the run, it answers the same.
    - `explanations`, `exports`: what the task offers is there.
    - `missing-targets`: it walks to its end; `one-class`: so it does, or it refuses in words.
    - `study-without-cases`: it is refused in words.
    - `broken-case`: it is set aside, listed by the audit, and changes no answer to another case.
    - those of `check_model`, of its model and its baseline (`baseline/…`), and of `check_recipe`, of each recipe."""
    runs = Runs(facts)

    def on(check: Callable[..., None], *given: Runs) -> Callable[[], None]:
        def run() -> None:
            with runs.at_work():
                check(*given)

        return run

    own = (
        _facts, _plan, _walk, _held_out, _resume, _predictions, _files, _bundle, _explanations, _exports,
        _missing_targets, _one_class, _study_without_cases, _broken_case,
    )  # fmt: skip
    checks = {check.__name__[1:].replace("_", "-"): on(check, runs) for check in own}
    baseline = model_checks(lambda: runs.baseline.model, lambda: runs.asked)
    parts = model_checks(lambda: runs.fitted.model, lambda: runs.asked)
    parts |= {f"baseline/{name}": check for name, check in baseline.items()} | recipe_checks(lambda: runs.recipes)
    yield from named(facts.name, checks | {name: on(check) for name, check in parts.items()})


def _facts(runs: Runs) -> None:
    for place in runs.facts.places:
        registry.find(place)
    for place in runs.facts.formats:
        require(isinstance(registry.find(place), FileFacts), f"{place} is no contracts.FileFacts")
    for offer in runs.facts.offers:
        inspect.signature(registry.find(offer.lives)).bind(*SHAPES[offer.kind])
    task = registry.open_task(runs.facts.name)
    require(task.steps == tuple(step for step in ROAD if step in task.steps), f"its steps are {task.steps}")
    plan = task.plan_type
    frozen = dataclasses.is_dataclass(plan) and plan.__dataclass_params__.frozen
    require(frozen, f"its plan, {task.plan_type}, is no frozen dataclass")


def _plan(runs: Runs) -> None:
    made = runs.plan
    again = build(type(made), tomllib.loads(tomli_w.dumps(plain(dataclasses.asdict(made)))), "its plan")  # type: ignore[call-overload]
    require(again == made, f"its plan is {made}, and read from TOML {again}")
    cases, split = runs.read.cases, runs.read.split
    test = pl.col("case_id").is_in(split.part(cases, "test").ids)
    hidden = [pl.when(~test).then(pl.col(target.name)).alias(target.name) for target in cases.targets]
    unknown = replace(cases, table=cases.table.with_columns(hidden))
    budget = Budget(None, 1 << 33, 1, runs.whole.settings, runs.read.inputs)
    # The estimate was measured when planning, and is another each time.
    plans = (runs.task.plan(one, split, budget) for one in (cases, unknown))
    with_answers, without = ({key: one for key, one in vars(plan).items() if key != "estimate"} for plan in plans)
    require(with_answers == without, "its plan is another one when the answers of the test part are not known")


def _walk(runs: Runs) -> None:
    count = len(runs.read.every)
    require(0 < count <= MOST_CASES, f"its example has {count} cases; {MOST_CASES} are enough")
    for step in runs.task.steps:
        require((runs.walked / LEFT[step]).exists(), f"the step {step} left no {LEFT[step]}")


def _held_out(runs: Runs) -> None:
    known = runs.read.split.part(runs.read.cases, "train", "validation")
    for name, fitted in (("model", runs.fitted), ("baseline", runs.baseline)):
        honest(fitted, known)
        kept = runs.walked / name / HELD_OUT
        if kept.exists():
            same_predictions(fitted.held_out, load_predictions(kept), "as it was fitted", "in the run folder")


def _resume(runs: Runs) -> None:
    folder, stops = runs.in_stretches
    require(stops, "it was never stopped: what takes time asks `Run.stopping`, and raises `Stopped` when it has saved")
    same_files(runs.walked, folder, "in one go", "with stops")
    runs.walk(runs.whole, "stops")
    same_files(runs.walked, folder, "in one go", "when it is walked again")


def _predictions(runs: Runs) -> None:
    if "evaluate" not in runs.task.steps:
        return
    _, kept = results(runs.walked)
    cases = runs.read.cases.where(pl.col("case_id").is_in(kept.table["case_id"].unique().implode()))
    if set(cases.ids) <= set(runs.read.split.part(runs.read.cases, "test").ids):
        found = runs.trained.predict_cases(cases)
    else:
        found = runs.fitted.held_out
        value = pl.coalesce("raw", "value") if "raw" in kept.table.columns else pl.col("value")
        kept = replace(kept, table=kept.table.with_columns(value.alias("value")))
    columns = [name for name in kept.table.columns if name in found.table.columns]
    kept, found = (replace(one, table=one.table.select(columns)) for one in (kept, found))
    same_predictions(kept, found, "in the run folder", "of the model that was opened")


def _files(runs: Runs) -> None:
    hidden = [path.name for path in runs.walked.rglob(".*")]
    require(not hidden, f"it leaves {hidden}")
    for name in ("model", "baseline"):
        if (runs.walked / name).exists():
            only_registered(runs.walked / name, KEPT)


def _bundle(runs: Runs) -> None:
    sources, before = runs.whole.sources, runs.trained
    mine = before.predict_cases(before.read(*sources))
    own = before.predict(*sources) if sources else None
    elsewhere = runs.folder / "elsewhere" / "other.medeor"
    elsewhere.parent.mkdir()
    shutil.copyfile(runs.walked / LEFT["bundle"], elsewhere)
    away = runs.walked.rename(runs.walked.with_name("away"))
    try:
        opened = load(elsewhere)
        same_predictions(mine, opened.predict_cases(opened.read(*sources)), "of the run", "of its bundle elsewhere")
        require(own is None or own.equals(opened.predict(*sources)), "its bundle answers otherwise elsewhere")
    finally:
        away.rename(runs.walked)


def _explanations(runs: Runs) -> None:
    if "explain" not in runs.task.steps:
        return
    listed = read_json(runs.walked / LEFT["explain"])["cases"]
    require(listed, "no case is explained")
    missing = [
        one["file"] for one in listed if one["shown"] and not (runs.walked / "explanations" / one["file"]).exists()
    ]
    require(not missing, f"{missing} are listed and not there")
    few = replace(runs.asked, table=runs.asked.table.head(2))
    require(reasons_of(runs.fitted.model, few, Run(runs.folder / "reasons")), "its model gives no reasons")


def _exports(runs: Runs) -> None:
    room = runs.folder / "exports"
    for offer in runs.facts.offers:
        for ending in offer.endings:
            path = room / f"{offer.name}{ending}"
            if offer.kind == "file":
                api.export(runs.walked, offer.name, path, console=Console(quiet=True))
            else:
                api.predict(runs.trained, *runs.whole.sources, out=path)
            require(path.stat().st_size, f"{path.name} is empty")
        if offer.kind == "page":
            cases = runs.trained.read(*runs.whole.sources)
            few = replace(cases, table=cases.table.head(2))
            figures = list(runs.trained.use(offer, few, runs.trained.predicted(few), {}))
            require(figures, f"{offer.name} shows nothing of a case")


def _missing_targets(runs: Runs) -> None:
    study = runs.study("missing targets")
    if study is None:
        return
    asked = read(study, Console(quiet=True))
    missing = sum(asked.cases.table[target.name].null_count() for target in asked.cases.targets)
    aside = len(asked.every) - len(asked.cases)
    require(missing or aside or not asked.cases.targets, "its example in this state misses no target")
    out = runs.walk(study, "missing-walk")
    trained = load(out)
    finite(trained.model.predict(asked.cases, Run(runs.folder / "missing-answers")))


def _one_class(runs: Runs) -> None:
    if (study := runs.study("one class")) is not None:
        with refused_or_done():
            runs.walk(study, "one-class-walk")


def _study_without_cases(runs: Runs) -> None:
    if (study := runs.study("no cases")) is not None:
        with refused_or_done():
            runs.walk(study, "no-cases-walk")
            require(False, "a study without cases walks to its end; refuse it in words")


def _broken_case(runs: Runs) -> None:
    study = runs.study("broken case")
    if study is None:
        return
    asked = read(study, Console(quiet=True))
    require("broken" in asked.every.table.columns, "no case is set aside: the table has no column `broken`")
    broken = asked.every.table.filter(pl.col("broken").is_not_null())["case_id"].to_list()
    require(broken, "no case is set aside")
    require(not set(broken) & set(asked.cases.ids), "the case that is set aside is used all the same")
    if "audit" in asked.task.steps:
        listed = {case for finding in asked.findings if finding.status != "pass" for case in finding.cases}
        require(set(broken) <= listed, f"the audit lists {sorted(listed)} and not the case that is set aside")
    asked_again, whole = (runs.trained.read(*one.sources) for one in (study, runs.whole))
    spoilt = asked_again.table["broken"].is_not_null()
    require(spoilt.any(), "of the cases to predict none is set aside")
    # The same places in both: a case may be called after the file that it was read from.
    ids = dict(zip(whole.ids, asked_again.ids, strict=True))
    here = runs.trained.predict_cases(asked_again)
    there = runs.trained.predict_cases(replace(whole, table=whole.table.filter(~spoilt)))
    renamed = there.table.with_columns(pl.col("case_id").replace_strict(ids))
    arrays = {ids[case]: path for case, path in there.arrays.items()}
    same_predictions(Predictions(renamed, arrays), here, "without the broken case", "with it")
