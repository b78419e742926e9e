"""What can be done with a study, in Python as on the command line: each function is one verb of `medeor`,
and imports what only it needs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from medeor import cache, catalogue, trusted
from medeor.console import Console
from medeor.contracts import Answers, Cases, Explanations, Finding, Logger, Measures, Message, Plan, Source, UserError
from medeor.files import enough_memory, private_folder, replacing, writable, write_toml
from medeor.formats.tables.write import write_table, writer_of
from medeor.road import offers
from medeor.road.bundle import MOST_SUMMARIZED, Trained, load
from medeor.road.study_file import asked

if TYPE_CHECKING:
    from medeor.trust.compare import Difference


@enough_memory()
def train(
    *sources: Source,
    out: str | Path,
    console: Console | None = None,
    again: bool = False,
    trust: str | Sequence[str] = (),
    loggers: Sequence[Logger] = (),
    **fields: Any,
) -> Trained:
    """Walks the whole road into the folder `out` and returns what was trained. What was interrupted there goes on. A
    model that was fitted there with anything else is thrown away only where it is to be fitted `again`. Modules that a
    file names are imported only where they are among `trust`, here and in every verb; those that `settings` name are.
    `loggers` hear of each epoch of the networks that are fitted (`contracts.Logger`).

    Example: `medeor.train("breastmnist", out="runs/breast").predict("new/")`."""
    from medeor.road.walk.walk import walk

    with _trusting(trust, fields), _stopping() as stopping:
        return walk(asked(*sources, **fields), Path(out), console, stopping, again, loggers)


class Reading(NamedTuple):
    """What medeor makes of a source."""

    cases: Cases
    """Every case; those that cannot be used say why in the column `broken` (see `Cases.usable`)."""
    findings: tuple[Finding, ...]


@enough_memory()
def read(
    *sources: Source,
    labelled: bool = True,
    console: Console | None = None,
    trust: str | Sequence[str] = (),
    **fields: Any,
) -> Reading:
    """The cases of a study and what its audit finds; of cases that are only to be predicted (`labelled=False`) what the
    reader alone noticed. Nothing is fitted or written.

    Example: `medeor.read("assay.csv", target="pIC50").cases.table`.

    Raises: UserError as `train` would, up to the audit."""
    from medeor.road.walk import reading

    question, console = asked(*sources, **fields), console or Console()
    with _trusting(trust, fields), _room():
        if labelled:
            found = reading.read(question, console)
            return Reading(found.every, found.findings)
        cases = reading.read_unlabelled(question, console)
        return Reading(cases, cases.findings)


@enough_memory()
def plan(
    *sources: Source,
    out: str | Path = "",
    console: Console | None = None,
    trust: str | Sequence[str] = (),
    **fields: Any,
) -> Plan:
    """What would be done, how long and in how much memory. With `out` the plan is written there, to be read, edited
    and then obeyed by `train`."""
    from medeor.road import run_folder
    from medeor.road.walk import reading

    if out:
        writable(Path(out) / "plan.toml")
        run_folder.same_version(Path(out))
    with _trusting(trust, fields), _room():
        found = reading.read(asked(*sources, **fields), console or Console())
        made = reading.plan(found, Path(out) if out else None)
    if out:
        private_folder(Path(out))
        write_toml(Path(out) / "plan.toml", made)
    return made


@enough_memory()
def audit(
    *sources: Source,
    clean: str | Path = "",
    console: Console | None = None,
    trust: str | Sequence[str] = (),
    **fields: Any,
) -> list[Finding]:
    """Every check of the data and the split. With `clean`, the repaired table of cases is written to that file: the
    labels of another study, with the group in the column `group`."""
    from medeor.road.walk import reading
    from medeor.road.walk.repair import repaired

    console = console or Console()
    if clean:
        writer_of(Path(clean))
    with _trusting(trust, fields), _room():
        read = reading.read(asked(*sources, **fields), console)
        if clean:
            table = repaired(read)
            write_table(table, Path(clean))
            # A task may clean other rows than its cases: a graph's edges, not the false ones that are drawn.
            total = read.task.clean(read.every, read.findings, read.split).height
            console.say(Message("api.audit.rows-stay", path=clean, rows=table.height, count=total))
    return list(read.findings)


@enough_memory()
def evaluate(
    run: str | Path | Trained,
    *sources: Source,
    name: str = "other",
    console: Console | None = None,
    trust: str | Sequence[str] = (),
    **fields: Any,
) -> Measures:
    """Measures of a trained model on other labelled data; into a run folder they go as the part `name`. Cases that are
    set aside, and those in the training data, are reported."""
    from medeor.road.finished import score

    trained = _opened(run, trust)
    return score(trained, asked(*sources, **fields), name, console or Console())


@enough_memory()
def predict(
    run: str | Path | Trained,
    *sources: Source,
    out: str | Path = "",
    trust: str | Sequence[str] = (),
) -> pl.DataFrame:
    """Calibrated predictions, one row a case and item, with the source of each case where it has one. With `out` they
    are written there (.csv, .parquet, .json, or as only the task can, such as .sdf; .html as by `summarize`)."""
    if not sources:
        raise UserError("api.predict.nothing")
    if Path(out).suffix == ".html":
        return summarize(run, *sources, out=out, trust=trust).table
    trained = _opened(run, trust)
    if not out:
        return trained.predict(*sources)
    path, own = Path(out), offers.table(trained.facts, out)
    if own:
        writable(path)
    else:
        ways = [ending for offer in trained.facts.offering("table") for ending in offer.endings]
        writer_of(path, (*ways, *((".html",) if trained.facts.offering("page") else ())))
    with trained.at_work():
        cases = trained.read(*sources)
        predictions = trained.predicted(cases)
    if own:
        with replacing(path) as new:
            trained.use(own, cases, predictions, new)
    else:
        write_table(predictions.table, path)
    return predictions.table


@enough_memory()
def summarize(
    run: str | Path | Trained,
    *sources: Source,
    out: str | Path = "",
    trust: str | Sequence[str] = (),
) -> Answers:
    """Predictions of a few cases, and of each what a reader wants to know; with `out` as one HTML page, with the
    reasons as far as they can be believed.

    Example: `medeor.summarize("runs/esol", "CCO", out="ethanol.html")`."""
    if out:
        writable(Path(out))
    trained = _opened(run, trust)
    answers = trained.summarize(*sources, why=bool(out))
    if out and not answers.figures:
        raise UserError("api.summarize.no-page", path=out, most=MOST_SUMMARIZED)
    if out:
        _write_page(Path(out), trained, answers)
    return answers


@enough_memory()
def query(
    run: str | Path | Trained, question: Mapping[str, str], *, out: str | Path = "", trust: str | Sequence[str] = ()
) -> Answers:
    """Answers to a question in words, the best first, with what each rests on. With `out` their table is written there
    (.csv leaves out what is nested, .parquet and .json keep all), or all that is known of them as one page (.html).

    Example: `medeor.query("runs/graph", {"head": "metformin", "relation": "treats"})`."""
    page = Path(out).suffix == ".html"
    if page:
        writable(Path(out))
    elif out:
        writer_of(Path(out), (".html",))
    trained = _opened(run, trust)
    answers = trained.query(question)
    if page:
        _write_page(Path(out), trained, answers)
    elif out:
        write_table(answers.table, Path(out))
    return answers


@enough_memory()
def explain(
    run: str | Path | Trained,
    *sources: Source,
    out: str | Path = "",
    target: str = "",
    trust: str | Sequence[str] = (),
) -> Explanations:
    """Why, for each case, with the measured faithfulness of each explanation; with `out`, as one HTML page too. Of
    several targets the one that is named, else the one with the highest value, of numbers the first.

    Raises: UserError where the task explains no cases; it names the query to use instead."""
    from medeor.report import story
    from medeor.trust import faithfulness

    if out:
        writable(Path(out))
    trained = _opened(run, trust)
    if "explain" not in trained.task.steps:
        name = trained.study.task
        asks = " ".join(f"--query {key}=…" for one in trained.facts.offering("question") for key in list(one.takes)[:2])
        raise UserError("api.explain.by-query" if asks else "api.explain.none", task=name, query=asks)
    with trained.at_work():
        cases = trained.read(*sources)
        predictions = trained.predict_cases(cases)
        cases = cases.usable
        items = faithfulness.leading(cases, predictions, target)
        explanations = faithfulness.examine(trained.model, cases, items, trained.run, trained.withheld)
    if out:
        story.write_explanations(Path(out), trained.task, cases, predictions, explanations)
    return explanations


def compare(
    ours: str | Path, theirs: str | Path, *, shared: bool = False, trust: str | Sequence[str] = ()
) -> list[Difference]:
    """The paired comparison of two runs over the same cases; with `shared` over those that both predicted."""
    from medeor.road.finished import results
    from medeor.trust.compare import compare as paired

    cases, first = results(Path(ours), trust)
    _, second = results(Path(theirs), trust)
    return paired(cases, first, second, shared_only=shared)


@enough_memory()
def export(
    run: str | Path | Trained,
    name: str,
    path: str | Path,
    options: Mapping[str, str] | None = None,
    *,
    console: Console | None = None,
    trust: str | Sequence[str] = (),
) -> Path:
    """Writes what the models of a task offer as a file: `onnx`, the networks, which need no medeor then; `embeddings`,
    what was learned of each entity, which another study takes as an input; … (`medeor tasks` lists them).

    Example: `medeor.export("runs/umls", "graph", "aspirin.svg", {"around": "aspirin"})`."""
    trained = _opened(run, trust)
    offer = offers.export(trained.facts, name, Path(path), options or {})
    with replacing(Path(path)) as new:
        note = trained.use(offer, new, options or {})
    if note:
        (console or Console()).say(f"{path}: {note}")
    return Path(path)


def demo(out: str | Path, console: Console | None = None) -> Trained:
    """A first run: of a real data set where it is at hand or can be fetched, else of a simulated hospital."""
    from medeor import simulate

    console = console or Console()
    try:
        catalogue.locate(DEMO, console)
    except UserError as error:
        console.say(f"{DEMO}: {error}")
    else:
        return train(DEMO, out=out, console=console)
    console.say(Message("api.demo.simulated"))
    folder = Path(out).with_name(Path(out).name + "-simulated-hospital")
    labels = folder / "labels.csv"
    if not labels.exists():
        simulate.write(simulate.hospital(300, seed=0, kind="xray", size=(28, 28)), folder)
    return train(folder, labels=labels, target="lesion", group="patient_id", split="part", out=out, console=console)


DEMO = "breastmnist"
"""What the demo tries to find or fetch before it falls back on simulated data."""


def _opened(run: str | Path | Trained, trust: str | Sequence[str]) -> Trained:
    return run if isinstance(run, Trained) else load(run, trust=trust)


def _write_page(out: Path, trained: Trained, answers: Answers) -> None:
    from medeor.report import story

    story.write_answers(out, trained.study.task, answers)


def _trusting(trust: str | Sequence[str], fields: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Trusts what the user names, and what the settings that they gave with this call name; those of a `study.toml` are
    not among them."""
    return trusted.trusting(trust, map(str, dict(fields.get("settings") or {}).values()))


@contextmanager
def _room() -> Iterator[None]:
    """Where there is no run folder, a cache that is switched off lies in a folder that goes again."""
    with TemporaryDirectory(prefix="medeor-") as folder, cache.within(Path(folder)):
        yield


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Hears SIGINT and SIGTERM: the first asks the fit to save and stop, a second ends it at once."""
    heard: list[int] = []

    def hear(number: int, frame: object) -> None:
        if heard:
            raise KeyboardInterrupt
        heard.append(number)

    try:
        before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: whoever runs it there has signals of its own
        before = {}
    try:
        yield lambda: bool(heard)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
