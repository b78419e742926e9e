"""What can be done with a study, in Python as on the command line: each function is one verb of `medeor`."""

from __future__ import annotations

import dataclasses
import io
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from medeor import cache, catalogue, trusted
from medeor.console import Console, renamed
from medeor.contracts import (
    IN_DOMAIN,
    Answers,
    Cases,
    Explanations,
    Finding,
    Measures,
    Plan,
    Predictions,
    Sources,
    Study,
    UserError,
)
from medeor.files import (
    enough_memory,
    private_folder,
    read_json,
    read_parquet,
    read_toml,
    replacing,
    writable,
    write_bytes,
    write_json,
    write_toml,
)
from medeor.formats.tables.spreadsheet import guarded
from medeor.formats.values.targets import positive_class
from medeor.learning.predictions import load_arrays
from medeor.registry import TASKS, find
from medeor.road import reading, run_folder
from medeor.road.bundle import MOST_SUMMARIZED, Trained, load, study_from
from medeor.road.repair import repaired
from medeor.road.results import place_of_arrays
from medeor.road.walk import walk

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from medeor.trust.compare import Difference


def asked(*sources: str | Path | np.ndarray | pl.DataFrame, study: str | Path = "", **fields: Any) -> Study:
    """A study from sources and fields of `contracts.Study`, on top of a `study.toml` where one is given. A text
    stands for a list of one; a setting named like a field of the study sets that field, and `inputs.ROLE` one input.

    Example: `asked("scans/", labels="labels.csv", target="malignant", group="patient_id")`."""
    values: dict[str, Any] = read_toml(Path(study)) if study else {}
    fields = {key: str(value) if isinstance(value, Path) else value for key, value in fields.items()}
    fields = {key: value for key, value in fields.items() if not (hasattr(value, "__len__") and not len(value))}
    fields = {key: value for key, value in fields.items() if value is not None}
    if not isinstance(fields.get("labels", ""), str):
        sources = (*sources, fields.pop("labels"))
    for named in (values, fields):
        if "where" in named:
            renamed("where", "options")
            named["options"] = {**named.pop("where"), **named.get("options", {})}
    own = {field.name: str(field.type) for field in dataclasses.fields(Study)}
    settings = {key: str(value) for key, value in dict(fields.pop("settings", {})).items()}
    for key in [key for key in settings if key in own and key not in ("sources", "settings", "options", "inputs")]:
        fields[key] = _typed(key, settings.pop(key), own[key])
    roles = [key for key in settings if key.startswith("inputs.")]
    if inputs := {key.removeprefix("inputs."): settings.pop(key) for key in roles}:
        fields["inputs"] = {**values.get("inputs", {}), **fields.get("inputs", {}), **inputs}
    values = {**values, **fields}
    if settings:
        values["settings"] = {**values.get("settings", {}), **settings}
    values["sources"] = [str(s) for s in values.get("sources", [])] if not sources else ["in memory"]
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    made = study_from(values, str(study) or "the study")
    given = tuple(str(s) if isinstance(s, Path) else s for s in sources)
    return dataclasses.replace(made, sources=given) if sources else made


@enough_memory()
def train(
    *sources: str | Path | np.ndarray | pl.DataFrame,
    out: str | Path,
    console: Console | None = None,
    again: bool = False,
    trust: str | Sequence[str] = (),
    **fields: Any,
) -> Trained:
    """Walks the whole road into the folder `out` and returns what was trained. What was interrupted there goes on. A
    model that was fitted there with anything else is thrown away only where it is to be fitted `again`. Modules that a
    file names are imported only where they are among `trust`, here and in every verb; those that `settings` name are.

    Example: `medeor.train("breastmnist", out="runs/breast").predict("new/")`."""
    with _trusting(trust, fields), _stopping() as stopping:
        return walk(asked(*sources, **fields), Path(out), console, stopping, again)


class Reading(NamedTuple):
    """What medeor makes of a source."""

    cases: Cases
    """Every case; those that cannot be used say why in the column `broken` (see `Cases.usable`)."""
    findings: tuple[Finding, ...]


@enough_memory()
def read(
    *sources: str | Path | np.ndarray | pl.DataFrame,
    labelled: bool = True,
    console: Console | None = None,
    trust: str | Sequence[str] = (),
    **fields: Any,
) -> Reading:
    """The cases of a study and what its audit finds; of cases that are only to be predicted (`labelled=False`) what the
    reader alone noticed. Nothing is fitted or written.

    Example: `medeor.read("assay.csv", target="pIC50").cases.table`.

    Raises: UserError as `train` would, up to the audit."""
    question, console = asked(*sources, **fields), console or Console()
    with _trusting(trust, fields), _room():
        if labelled:
            found = reading.read(question, console)
            return Reading(found.every, found.findings)
        cases = reading.read_unlabelled(question, console)
        return Reading(cases, cases.findings)


@enough_memory()
def plan(
    *sources: str | Path | np.ndarray | pl.DataFrame,
    out: str | Path = "",
    console: Console | None = None,
    trust: str | Sequence[str] = (),
    **fields: Any,
) -> Plan:
    """What would be done, how long and in how much memory. With `out` the plan is written there, to be read, edited
    and then obeyed by `train`."""
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
    *sources: str | Path | np.ndarray | pl.DataFrame,
    clean: str | Path = "",
    console: Console | None = None,
    trust: str | Sequence[str] = (),
    **fields: Any,
) -> list[Finding]:
    """Every check of the data and the split. With `clean`, the repaired table of cases is written to that file: the
    labels of another study, with the group in the column `group`."""
    console = console or Console()
    if clean:
        _writer(Path(clean))
    with _trusting(trust, fields), _room():
        read = reading.read(asked(*sources, **fields), console)
        if clean:
            table = repaired(read)
            write_any(table, Path(clean))
            # A task may clean other rows than its cases: a graph's edges, not the false ones that it draws beside.
            total = read.task.clean(read.every, read.findings, read.split).height
            console.say(f"{clean}: {table.height} of {total} rows stay")
    return list(read.findings)


@enough_memory()
def evaluate(
    run: str | Path | Trained,
    *sources: str | Path | np.ndarray | pl.DataFrame,
    name: str = "other",
    console: Console | None = None,
    trust: str | Sequence[str] = (),
    **fields: Any,
) -> Measures:
    """Measures of a trained model on other labelled data; into a run folder they go as the part `name`. Cases that are
    set aside, and those that taught the model, are told."""
    import polars as pl

    console = console or Console()
    trained = run if isinstance(run, Trained) else load(run, trust=trust)
    if name in ("test", "cv", "validation"):
        raise UserError(f"'{name}' is a part of the study itself; name these data otherwise")
    with trained.at_work():
        every = _labelled(trained, sources, fields)
        cases = every.usable
        if len(cases) < len(every):
            reasons = every.table["broken"].drop_nulls().value_counts(sort=True)
            why = "; ".join(f"{reason} ({count})" for reason, count in reasons.head(5).iter_rows())
            why += "; …" if len(reasons) > 5 else ""
            console.say(f"{len(every) - len(cases)} of {len(every)} cases are set aside: {why}")
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


@enough_memory()
def predict(
    run: str | Path | Trained,
    *sources: str | Path | np.ndarray | pl.DataFrame,
    out: str | Path = "",
    trust: str | Sequence[str] = (),
) -> pl.DataFrame:
    """Calibrated predictions, one row a case and item, with the source of each case where it has one. With `out` they
    are written there (.csv, .parquet, .json, or as the task alone can: `TaskFacts.writes`; .html as by `summarize`)."""
    if not sources:
        raise UserError("nothing to predict: name files, folders or a data set, or ask a question with --query")
    if Path(out).suffix == ".html":
        return summarize(run, *sources, out=out, trust=trust).table
    trained = run if isinstance(run, Trained) else load(run, trust=trust)
    facts = TASKS[trained.study.task]
    own = facts.writes.get(Path(out).suffix, "")
    if own:
        writable(Path(out))
    elif out:
        _writer(Path(out), (*facts.writes, *((".html",) if facts.case_page else ())))
    table = trained.predict(*sources)
    if own:
        find(own)(table, Path(out))
    elif out:
        write_any(table, Path(out))
    return table


@enough_memory()
def summarize(
    run: str | Path | Trained,
    *sources: str | Path | np.ndarray | pl.DataFrame,
    out: str | Path = "",
    trust: str | Sequence[str] = (),
) -> Answers:
    """Predictions of a few cases, and of each what a reader wants to know; with `out` as one HTML page, with the
    reasons as far as they can be believed.

    Example: `medeor.summarize("runs/esol", "CCO", out="ethanol.html")`."""
    from medeor.report import story

    if out:
        writable(Path(out))
    trained = run if isinstance(run, Trained) else load(run, trust=trust)
    told = trained.summarize(*sources, why=bool(out))
    if out and not told.figures:
        raise UserError(
            f"{out}: a page shows at most {MOST_SUMMARIZED} cases, and not of every task; write .csv, .parquet or "
            ".json, or explain them (`medeor explain`)"
        )
    if out:
        story.write_answers(Path(out), trained.study.task, told)
    return told


@enough_memory()
def query(
    run: str | Path | Trained, question: Mapping[str, str], *, out: str | Path = "", trust: str | Sequence[str] = ()
) -> Answers:
    """Answers to a question in words, the best first, with what each rests on. With `out` their table is written there
    (.csv leaves out what is nested, .parquet and .json keep all), or all that is said of them as one page (.html).

    Example: `medeor.query("runs/graph", {"head": "metformin", "relation": "treats"})`."""
    page = Path(out).suffix == ".html"
    if page:
        writable(Path(out))
    elif out:
        _writer(Path(out), (".html",))
    trained = run if isinstance(run, Trained) else load(run, trust=trust)
    answers = trained.query(question)
    if page:
        from medeor.report import story

        story.write_answers(Path(out), trained.study.task, answers)
    elif out:
        write_any(answers.table, Path(out))
    return answers


@enough_memory()
def explain(
    run: str | Path | Trained,
    *sources: str | Path | np.ndarray | pl.DataFrame,
    out: str | Path = "",
    target: str = "",
    trust: str | Sequence[str] = (),
) -> Explanations:
    """Why, for each case, with the measured faithfulness of each explanation; with `out`, as one HTML page too. Of
    several targets the one that is named, else the one with the highest value, of numbers the first.

    Raises: UserError where the task explains no cases; it says what to ask instead."""
    from medeor.report import story
    from medeor.trust import faithfulness

    if out:
        writable(Path(out))
    trained = run if isinstance(run, Trained) else load(run, trust=trust)
    if "explain" not in trained.task.steps:
        name = trained.study.task
        asks = " ".join(f"--query {key}=…" for key in list(TASKS[name].query)[:2])
        instead = f"; its answers come with theirs: medeor predict RUN {asks}" if asks else ""
        raise UserError(f"a model of {name} gives no reasons for the cases of a file{instead}")
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
    from medeor.trust.compare import compare as paired

    cases, first = results(Path(ours), trust)
    _, second = results(Path(theirs), trust)
    return paired(cases, first, second, shared_only=shared)


def results(folder: Path, trust: str | Sequence[str] = ()) -> tuple[Cases, Predictions]:
    """The cases that a finished run was evaluated on, with its predictions, read back from its folder."""
    import polars as pl

    trained = load(folder, trust=trust)
    if not (folder / "predictions.parquet").exists():
        raise UserError(f"{folder} holds no predictions: a bundle or an unfinished run cannot be compared")
    table = read_parquet(folder / "predictions.parquet").filter(pl.col("model") == "model")
    cases = read_parquet(folder / "cases.parquet").join(table.select("case_id").unique(), on="case_id", how="semi")
    parts = table["part"].unique().to_list()
    arrays = {
        case: path for part in parts for case, path in load_arrays(place_of_arrays(folder, part, "model")).items()
    }
    return Cases(cases, trained.targets), Predictions(table.drop("part", "model"), arrays)


@enough_memory()
def export(
    run: str | Path,
    *,
    onnx: str | Path = "",
    embeddings: str | Path = "",
    graph: str | Path = "",
    around: str = "",
    console: Console | None = None,
    trust: str | Sequence[str] = (),
) -> list[Path]:
    """`onnx`: the networks as one ONNX model: prepared inputs in, averaged values out, checked against medeor's own.
    `embeddings`: a table (.parquet) of what was learnt of each thing that the model knows: id, name, kind, vector;
    another study takes it as an input. `graph`: the graph that the models of a run answer from, as triples (.tsv),
    GraphML (.graphml) or a picture (.svg) of what lies `around` an entity."""
    from medeor.learning.export import to_onnx

    written = [Path(path) for path in (onnx, embeddings, graph) if path]
    if not written:
        raise UserError("say what to write: --onnx model.onnx, --embeddings table.parquet, or --graph triples.tsv")
    for path in written:
        writable(path)
    if embeddings and Path(embeddings).suffix != ".parquet":
        raise UserError(f"{embeddings}: embeddings are written to a file ending in .parquet")
    trained = load(run, trust=trust)
    if embeddings:
        write_any(trained.embeddings().table, Path(embeddings))
    if graph:
        trained.write_graph(Path(graph), around)
    if onnx and not TASKS[trained.study.task].onnx:
        raise UserError(
            f"a model of {trained.study.task} is not written as ONNX: its input is no array; pass its bundle on"
        )
    if onnx:
        with replacing(Path(onnx)) as new:
            note = to_onnx(trained.model, new)
        if note:
            (console or Console()).say(f"{onnx}: {note}")
    return written


def demo(out: str | Path, console: Console | None = None) -> Trained:
    """The best real data set at hand, in the order of the catalogue; without one, a simulated hospital."""
    console = console or Console()
    for name in DEMO_TRIES:
        try:
            catalogue.locate(name, console)
        except UserError as error:
            console.say(f"{name}: {error}")
            continue
        return train(name, out=out, console=console)
    from medeor import simulate

    console.say("no real data set can be reached: this demo uses a simulated hospital, and says so everywhere")
    folder = Path(out).with_name(Path(out).name + "-simulated-hospital")
    if not (folder / "labels.csv").exists():
        simulate.write(simulate.hospital(300, seed=0, kind="xray", size=(28, 28)), folder)
    asked: dict[str, Any] = {
        "labels": str(folder / "labels.csv"),
        "target": ("lesion",),
        "group": "patient_id",
        "split": "part",
    }
    return train(folder, out=out, console=console, **asked)


DEMO_TRIES = ("breastmnist",)
"""What the demo tries to find or fetch before it falls back on simulated data."""


def write_any(table: pl.DataFrame, path: Path) -> None:
    """A table by the ending of its name: .csv, .parquet or .json."""
    writer = _writer(path)
    content = io.BytesIO()
    writer(table, content)
    write_bytes(path, content.getvalue())


def _writer(path: Path, others: Sequence[str] = ()) -> Callable[[pl.DataFrame, io.BytesIO], object]:
    """What writes a table to this file; asked before long work. Raises: UserError where nothing can; it names what can,
    and `others`, the endings that the caller writes itself."""
    import polars as pl

    writers: dict[str, Callable[[pl.DataFrame, io.BytesIO], object]] = {
        ".csv": lambda table, file: guarded(table.select(~pl.selectors.list())).write_csv(file),
        ".parquet": lambda table, file: table.write_parquet(file),
        ".json": lambda table, file: table.write_json(file),
    }
    if path.suffix not in writers:
        raise UserError(f"{path}: write to a file ending in {', '.join([*writers, *others])}")
    writable(path)
    return writers[path.suffix]


def _labelled(trained: Trained, sources: Sequence[Any], fields: Mapping[str, Any]) -> Cases:
    other = asked(*sources, **fields)
    other = dataclasses.replace(
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
    return dataclasses.replace(cases, prevalences=other.prevalence or trained.study.prevalence)


def _typed(key: str, text: str, kind: str) -> Any:
    if kind.startswith("tuple"):
        parts = [part.strip() for part in text.split(",")]
        return parts if "str" in kind else [_typed(key, part, "float") for part in parts]
    if kind == "str":
        return text
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        raise UserError(f"--set {key}={text}: {key} is a number") from None


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
