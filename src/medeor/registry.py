"""The registry: what medeor can be asked, and which files it can read back. Plain facts, without an import of the
rooms that they name; the command line, its help and the reference are made from them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medeor.contracts import Model, Study, Task, UserError
from medeor.files import read_json


@dataclass(frozen=True)
class TaskFacts:
    """What is known of a task before anything is imported."""

    name: str
    does: str
    lives: str
    """`module:class` of the Task."""
    extra: str
    """The extra that installs what it needs: `pip install "medeor[imaging]"`."""
    reads: str
    where: Mapping[str, str]
    """What `--where` may ask of it, and what each key means."""
    files: tuple[str, ...] = ()
    """Which keys of `where` name a file: it lies with the data, and no bundle says where."""
    endings: tuple[str, ...] = ()
    """How the names of files end that only this task reads."""
    columns: tuple[str, ...] = ()
    """Names of columns, any of which says that a table is for this task."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What of other studies it can use (`--set inputs.ROLE=path`), by role, and what for."""
    asks: Mapping[str, str] = field(default_factory=dict)
    """What `medeor predict --where` may ask of its models in the place of sources, and what each key means."""
    answers: str = ""
    """`module:function` that answers such a question: (where, `contracts.Answering`) → `contracts.Answers`."""
    tells: str = ""
    """`module:function` that tells a reader of a few predicted cases: (cases, predictions, model, run, the items whose
    reasons are withheld, with why; None where no reasons are wanted) → `figures.Figure`s."""
    writes: Mapping[str, str] = field(default_factory=dict)
    """By the ending of a file that only this task can write predictions to, `module:function` that does: (table of
    predictions, path)."""
    carries: str = ""
    """`module:function` that names the columns of the case table that a table of predictions keeps beside `source` and
    `broken`: (columns) → names."""
    onnx: bool = False
    """Whether its networks can be written as ONNX."""
    embeds: str = ""
    """`module:function` that gives what its models learnt as a table: (model, run) → `formats.embeddings` columns."""
    graphs: str = ""
    """`module:function` that writes the graph which its models answer from: (model, run, path, the entity around which
    it is drawn)."""


TASKS: dict[str, TaskFacts] = {
    facts.name: facts
    for facts in (
        TaskFacts(
            name="image-classification",
            does="diagnosis from images: classes, several labels, ordered grades, or a number",
            lives="medeor.imaging.task:ImageTask",
            extra="imaging",
            reads="MedMNIST .npz; a folder a class; a table of paths; PNG, JPEG, TIFF, DICOM, NIfTI; 2-D and 3-D",
            where={
                "image": "columns of the table that name the images of a case, e.g. image=t1,t2",
                "classes": "names of the classes in the order of their numbers, set apart by |",
                "kind": "classes, ordinal or continuous, where the values leave it open",
                "positive": "the class that counts as positive in a two-class question",
                "id": "column of the table by which a case is known again; default: case_id, where there is one",
            },
            onnx=True,
            endings=(
                *(".npz", ".npy", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"),
                *(".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ""),
            ),
            columns=("image", "images", "image_path", "filename", "file", "path", "filepath"),
        ),
        TaskFacts(
            name="graph-completion",
            does="missing edges of a knowledge graph: drug to disease, disease to gene, any relation",
            lives="medeor.knowledge.task:GraphTask",
            extra="knowledge",
            reads="triples and tables of edges (TSV, CSV, Parquet), Hetionet and PrimeKG tables, OBO, UMLS RRF",
            where={
                "head": "column of the entity from which an edge starts",
                "relation": "column of the relation; where the file has none, the name of the one relation it holds",
                "tail": "column of the entity to which an edge leads",
                "head_name": "column of the names of heads",
                "tail_name": "column of the names of tails",
                "head_kind": "column of the kinds of heads, or their one kind",
                "tail_kind": "column of the kinds of tails, or their one kind",
                "source": "column naming where an edge comes from, or the one source",
                "licence": "column of the licence of an edge, or the one licence",
                "release": "column of the release of the source, or the one release",
                "part": "column saying train, validation or test",
                "id": "column of the identifiers in a table of nodes",
                "name": "column of the names in a table of nodes",
                "kind": "column of the kinds in a table of nodes",
                "mapping": "table of two columns, identifiers of the same thing, that joins several sources",
            },
            files=("mapping",),
            endings=(
                ".obo",
                ".rrf",
                ".sif",
                ".nt",
                ".nq",
                ".gaf",
                ".hpoa",
                "train.txt",
                "valid.txt",
                "test.txt",
                "triples.txt",
            ),
            columns=("head", "relation", "metaedge", "x_index", "predicate"),
            asks={
                "head": "the entity that is known, by identifier, name or synonym: its tails are asked for",
                "relation": "the relation",
                "tail": "or the entity at the other end: its heads are asked for; with head, this one triple",
                "top": "how many answers, by default 20",
                "kind": "the kind of entity that an answer must be, e.g. Disease",
                "excludes": "relations that contradict the one asked, set apart by commas, e.g. contraindicates",
            },
            answers="medeor.knowledge.questions.answers:answer",
            embeds="medeor.knowledge.questions.answers:embeddings",
            graphs="medeor.knowledge.draw:write",
        ),
        TaskFacts(
            name="molecule-property",
            does="what a compound does: activity, toxicity, ADMET; one or many endpoints",
            lives="medeor.molecules.task:MoleculeTask",
            extra="molecules",
            reads="tables with SMILES (CSV, TSV, Parquet, Excel), SDF, lists of SMILES",
            where={
                "smiles": "column of the structures",
                "kind": "classes, ordinal or continuous, where the values leave it open",
                "classes": "names of the classes in the order of their numbers, set apart by |",
                "positive": "the class that counts as positive in a two-class question",
                "tautomer": "canonical: one tautomer stands for all; keep (the default)",
                "stereo": "drop: leave stereochemistry out; keep (the default)",
                "scale": "log: learn a number by its logarithm; linear: as it stands",
                "unit": "unit of a number where the file names none, and into which it is converted where it names one",
                "endpoint": "what a number measures, e.g. hlm_clearance (endpoints.toml); of several, set apart by |",
                "decimal": "comma or point: the sign before decimals, where the file leaves it open",
            },
            endings=(".sdf", ".mol", ".smi", ".smiles"),
            columns=("smiles", "canonical_smiles", "structure", "mol", "molecule", "inchi", "smi", "isomeric_smiles"),
            inputs={"base": "a run or bundle with the same endpoints, which is adapted to these compounds"},
            asks={
                "suggest": "how many compounds to make or measure next",
                "candidates": "the file of compounds to choose from",
                "aim": "best (the default): those that may beat what was measured; learn: those that teach most",
                "endpoint": "by which endpoint; needed where there are several",
                "better": "higher or lower, where the endpoint does not say",
                "than": "the value to beat; by default the best that was measured",
            },
            answers="medeor.molecules.questions.suggest:answer",
            writes={".sdf": "medeor.molecules.questions.sdf_export:write"},
            carries="medeor.molecules.questions.sdf_export:carried",
            tells="medeor.molecules.questions.panel:tell",
        ),
    )
}

PART = r"[a-z0-9][a-z0-9-]{0,40}"
"""The name of a part of a model, and so of its folder."""

LOADERS: dict[str, str] = {
    "network": "medeor.learning.network:load",
    "folds": "medeor.learning.folds:load",
    "trees": "medeor.learning.trees.method:load",
    "image-recipe": "medeor.imaging.model.recipe:ImageRecipe",
    "image-domain": "medeor.imaging.model.domain:load",
    "image-features": "medeor.imaging.model.features:ImageFeatures",
    "graph-recipe": "medeor.knowledge.model.recipe:GraphRecipe",
    "graph-baseline": "medeor.knowledge.model.baselines:load",
    "stack": "medeor.learning.stack:load",
    "molecule-recipe": "medeor.molecules.model.recipe:MoleculeRecipe",
    "molecule-features": "medeor.molecules.model.features:MoleculeFeatures",
    "molecule-neighbours": "medeor.molecules.model.neighbours:load",
    "molecule-domain": "medeor.molecules.model.domain:load",
    "molecule-adapted": "medeor.molecules.model.adapt:load",
}
"""What rebuilds a saved part, by the `kind` its `model.json` states: a function for a model, a class for a part of one.
Nothing else is imported because a file names it, but the modules that the user trusts (`medeor.trusted`)."""


def find(lives: str) -> Any:
    """The object at `module:name`."""
    module, _, name = lives.partition(":")
    return getattr(importlib.import_module(module), name)


def open_task(name: str, where: Mapping[str, str] | None = None) -> Task:
    """The task of this name. Raises UserError for an unknown name, a missing extra, an unknown `--where` key."""
    if name not in TASKS:
        raise UserError(f"no task is called '{name}'; there are {', '.join(TASKS)}")
    facts = TASKS[name]
    for key in where or {}:
        if key not in facts.where:
            known = "; ".join(f"{key} ({meaning})" for key, meaning in facts.where.items())
            raise UserError(f"{name} does not ask for '{key}'; --where takes {known}")
    try:
        task: Task = find(facts.lives)()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("medeor"):
            raise
        raise UserError(f'{name} needs the package {error.name}: pip install "medeor[{facts.extra}]"') from None
    return task


def known_inputs(study: Study) -> Mapping[str, str]:
    """The inputs of a study by role. Raises: UserError for a role that its task does not have."""
    facts = TASKS[study.task]
    for role in study.inputs:
        if role not in facts.inputs:
            known = "; ".join(f"{key} ({meaning})" for key, meaning in facts.inputs.items()) or "none"
            raise UserError(f"{study.task} takes no input '{role}'; its inputs: {known}")
    return study.inputs


def known_question(name: str, where: Mapping[str, str]) -> Any:
    """What answers a question in words to the models of a task (`TaskFacts.answers`).

    Raises: UserError where they answer none, or not one with these keys."""
    facts = TASKS[name]
    if not facts.answers:
        raise UserError(f"a model of {name} is asked about cases: name files, folders or a data set instead of --where")
    for key in where:
        if key not in facts.asks:
            known = "; ".join(f"{key} ({meaning})" for key, meaning in facts.asks.items())
            raise UserError(f"no question to a model of {name} has '{key}'; --where takes {known}")
    return find(facts.answers)


def load_model(folder: Path) -> Model:
    """The model saved in a folder, whatever its kind.

    Raises: UserError where it is of no known kind, or damaged."""
    where = folder / "model.json"
    facts = read_json(where)
    load = _known_kind(facts, where)
    if isinstance(load, type):
        raise UserError(f"{where}: '{facts['kind']}' is a part of a model, and no model by itself")
    model: Model = load(folder)
    return model


def load_part(folder: Path, name: str) -> Model:
    """A model that is a part of the one in `folder`, in a folder of its own within that.

    Raises: UserError also for a name that is no plain one: it must lead nowhere else."""
    part = folder / name
    if not re.fullmatch(PART, name) or part.is_symlink():
        raise UserError(f"{folder / 'model.json'} names the part {name[:40]!r}, which is no folder of its own")
    return load_model(part)


def rebuilt(values: object, having: str, where: Path) -> Any:
    """The part of a model that `values`, its `to_json` with its `kind`, describe: a recipe or a table of features.

    Raises: UserError where it is no object with the method `having`."""
    made = _known_kind(values, where)
    if not (isinstance(made, type) and hasattr(made, "from_json") and hasattr(made, having)):
        raise UserError(f"{where}: {values['kind']!r} cannot stand here")  # type: ignore[index]
    return made.from_json({key: value for key, value in values.items() if key != "kind"})  # type: ignore[attr-defined]


def _known_kind(facts: object, where: Path) -> Any:
    kind = facts.get("kind") if isinstance(facts, dict) else None
    if not isinstance(kind, str) or kind not in LOADERS:
        raise UserError(f"{where} names the unknown kind {str(kind)[:60]!r}; a newer medeor may have written it")
    return find(LOADERS[kind])


def check_kinds(folder: Path, task: str) -> None:
    """Raises: UserError where a model below this folder has parts that belong to another task's kind of data."""
    own = TASKS[task].lives.partition(":")[0].rpartition(".")[0]
    for path in folder.rglob("model.json"):
        facts = read_json(path)
        stated = [facts, *facts.values()] if isinstance(facts, dict) else []
        for kind in (one.get("kind") for one in stated if isinstance(one, dict)):
            place = LOADERS.get(kind, "") if isinstance(kind, str) else ""
            room = place.partition(":")[0].rpartition(".")[0] if place else own
            if room not in (own, "medeor.learning"):
                raise UserError(f"{path}: a part of the kind {kind!r} is none of a model of {task}; it is damaged")
