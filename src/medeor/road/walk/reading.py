"""The beginning of the road, in memory: what a study reads, how its cases are divided, what the audit finds, by which
plan a model would be fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from medeor import catalogue
from medeor.console import Console
from medeor.contracts import (
    Budget,
    Cases,
    Finding,
    Inputs,
    Plan,
    Source,
    Sources,
    Split,
    Study,
    Task,
    UserError,
    schemas,
)
from medeor.files import digest, exists, read_toml
from medeor.formats.values.dates import in_order_of_time
from medeor.formats.values.targets import positive_class
from medeor.learning.rehearsal import timed
from medeor.machine import free_memory, threads
from medeor.messages import Message, listed
from medeor.registry import facts_of, known_inputs, open_task
from medeor.road import task_detection
from medeor.road.bundle import opened
from medeor.road.walk.estimate import with_estimate
from medeor.settings import build, check_settings, with_settings
from medeor.statistics.split import split_cases
from medeor.targets.outcomes import strata
from medeor.trust import audit as trust_audit


@dataclass(frozen=True)
class Read:
    """A study that was read and divided, before anything is fitted."""

    study: Study
    task: Task
    every: Cases
    """All cases, those that cannot be used among them."""
    cases: Cases
    split: Split
    findings: tuple[Finding, ...]
    inputs: Inputs
    seconds: Mapping[str, float] = field(default_factory=dict)
    """What that took, by what was done."""


def resolve(study: Study) -> Study:
    """The study with what the catalogue knows of its source, and the task it leaves open."""
    first = study.sources[0] if len(study.sources) == 1 else None
    if isinstance(first, str) and not exists(first) and first in catalogue.names():
        study = catalogue.completed(study, first)
    return study if study.task else replace(study, task=task_detection.task_of(study))


def read(study: Study, console: Console) -> Read:
    """The first three steps: read, split, audit. A failed leakage check is among the findings; it stops later."""
    study = resolve(study)
    task = open_task(study.task, study.options)
    (every, inputs), gathering = timed(lambda: gather(study, task, located(study, console), console))
    split = divide(study, task, every)
    found, checking = timed(lambda: check(study, task, every, split))
    findings, seconds = trust_audit.accepted(found, study.accept), {"reading": gathering, "audit": checking}
    return Read(study, task, every, every.usable, split, tuple(findings), inputs, seconds)


Located = tuple[Source, ...]
"""The sources of a study as a task reads them: a known data set by its path."""


def located(study: Study, console: Console) -> Located:
    """Where the sources lie. Raises: UserError as `catalogue.opened`."""
    return tuple(catalogue.opened(source, console) for source in study.sources)


class Gathered(NamedTuple):
    every: Cases
    """All cases, those that cannot be used among them."""
    inputs: Inputs


def gather(study: Study, task: Task, sources: Located, console: Console) -> Gathered:
    """The cases and the opened inputs of a study.

    Raises: UserError where there are none that can, or a setting of the study is none of this task's."""
    check_settings(task.plan_type, study.settings, "--set")
    inputs = {role: opened(path) for role, path in known_inputs(study).items()}
    every = task.read(Sources(sources, inputs), replace(study, labels=labels_of(study, sources)))
    schemas.check(every.table, schemas.CASES, f"the case table of {study.task}")
    every = replace(every, prevalences=study.prevalence)
    if study.split == "time":
        every = in_order_of_time(every, study.time or "time")
    if not len(every.usable) and len(every):
        raise UserError("road.reading.none-usable", total=len(every), reasons=reasons(every))
    for finding in every.findings:
        if finding.check == "guessed":
            console.say(finding.message)
    return Gathered(every, inputs)


def divide(study: Study, task: Task, every: Cases) -> Split:
    """The parts and folds of the cases that can be used; all are training cases where the task divides none."""
    if "split" in task.steps:
        return split_cases(every.usable, study, strata(every.usable))
    whole = pl.lit("train").alias("part"), pl.lit(None, pl.Int32).alias("fold")
    return Split(every.usable.table.select("case_id", *whole))


def check(study: Study, task: Task, every: Cases, split: Split) -> list[Finding]:
    """What the reader noticed and the audit finds before the fit; nothing is accepted yet."""
    findings = [*positive_class(every.targets), *every.findings]
    if "audit" in task.steps:
        findings += [*task.audit(every, split), *trust_audit.audit(every.usable, split, by=study.split)]
    return findings


def reasons(cases: Cases) -> Message | tuple[object, ...]:
    """Why cases are set aside, the commonest reason first, with their numbers."""
    counted = cases.table["broken"].drop_nulls().value_counts(sort=True).iter_rows()
    return listed((Message("road.reading.reason", reason=reason, cases=count) for reason, count in counted), 5)


def read_unlabelled(study: Study, console: Console) -> Cases:
    """The cases of a study that are only to be predicted: no targets are looked for, nothing is divided."""
    study = resolve(study)
    return open_task(study.task, study.options).read(Sources(located(study, console), {}, labelled=False), study)


def labels_of(study: Study, sources: Located) -> str:
    """The table of labels, which may also lie in the folder that is the source."""
    labels = study.labels
    for source in sources:
        if labels and not Path(labels).exists() and isinstance(source, str | Path) and (Path(source) / labels).exists():
            return str(Path(source) / labels)
    return labels


def plan(asked: Read, folder: Path | None = None) -> Plan:
    """The plan: as it stands in the folder when there is one, else from the training part; with what the user fixed by
    `--set`."""
    if folder and (folder / PLAN).exists():
        made = plan_in(folder, asked.task)
    else:
        budget = Budget(asked.study.minutes, free_memory(), threads(), asked.study.settings, asked.inputs)
        made, planning = timed(lambda: asked.task.plan(asked.cases, asked.split, budget))
        made = with_settings(made, asked.study.settings, "--set")
        return with_estimate(replace(asked, seconds={**asked.seconds, "planning": planning}), made)
    return with_settings(made, asked.study.settings, "--set")


PLAN = "plan.toml"


def plan_in(folder: Path, task: Task) -> Plan:
    """Raises: UserError where the plan in a folder is none of this task."""
    made: Plan = build(task.plan_type, read_toml(folder / PLAN), str(folder / PLAN))
    return made


def stop_on_leakage(findings: Sequence[Finding]) -> None:
    """Raises: UserError naming the leakage checks that failed and how to accept them."""
    stops = [finding for finding in findings if finding.stops]
    if stops:
        found = tuple(Message("road.reading.finding", check=one.check, message=one.message) for one in stops)
        accept = " ".join(f"--accept {finding.check}" for finding in stops)
        raise UserError("road.reading.leakage", found=found, accept=accept)


def stop_without_contrast(cases: Cases, split: Split) -> None:
    """Raises: UserError where the cases to learn from all have the same answers."""
    training = split.part(cases, "train", "validation").table
    answers = [training[target.name] for target in cases.targets if target.name in training.columns]
    if answers and all(answer.drop_nulls().n_unique() < 2 for answer in answers):
        names = tuple(f"'{answer.name}'" for answer in answers)
        raise UserError("road.reading.no-contrast", total=len(training), names=names)


def inputs_digest(inputs: Inputs) -> str:
    """A digest of the inputs of a study, by role; empty where there are none."""
    parts = [part for role, store in sorted(inputs.items()) for part in (role, store.digest)]
    return digest(*parts) if parts else ""


def cases_digest(cases: Cases) -> str:
    """A digest of the case table and of the stores that it points into."""
    table = cases.table.select(sorted(cases.table.columns))
    return digest(table_digest(table), *(store.digest for store in cases.stores.values()))


def table_digest(table: pl.DataFrame) -> str:
    """A digest of names, types and values, column by column, a stretch of rows at a time, so that it takes little
    memory and does not depend on the chunks in which they lie."""
    schema = ", ".join(f"{name} {kind}" for name, kind in table.schema.items())
    stretches = table.iter_slices(100_000)
    return digest(schema, *(values for part in stretches for column in part for values in _bytes(column)))


def _bytes(column: pl.Series) -> Iterator[bytes | str]:
    """Which rows have a value, and the values; those of text with their lengths, those of lists as JSON."""
    yield column.is_null().to_numpy().tobytes()
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        text = column.cast(pl.String).fill_null("")
        yield text.str.len_bytes().to_numpy().tobytes()
        yield text.str.join()[0]
    elif str(column.to_physical().dtype) in (*schemas.NUMBER, *schemas.YES_NO):
        yield column.to_physical().fill_null(strategy="zero").to_numpy().tobytes()
    else:
        yield column.to_frame().write_ndjson()


def sources_digest(study: Study, sources: Located) -> tuple[str, frozenset[str]]:
    """A digest of all that a study names to be read (sources, labels, inputs, files among its options), and the files
    that it was made from."""
    own = (study.options[key] for key in facts_of(study.task).files if key in study.options)
    named = [*sources, *filter(None, [labels_of(study, sources), *study.inputs.values(), *own])]
    parts: list[str] = []
    files: list[Path] = []
    for one in named:
        if isinstance(one, np.ndarray):
            parts += [f"{one.dtype} {one.shape}", digest(one.tobytes())]
        elif isinstance(one, pl.DataFrame):
            parts.append(table_digest(one))
        elif Path(one).is_dir():
            listed = sorted(file for file in Path(one).rglob("*") if file.is_file())
            parts += [file.relative_to(one).as_posix() for file in listed]
            files += listed
        elif exists(one):
            files.append(Path(one))
        else:
            parts.append(str(one))  # a molecule in its SMILES
    with ThreadPoolExecutor(threads()) as pool:
        parts += pool.map(digest, files)
    return digest(*parts), frozenset(str(file.absolute()) for file in files)
