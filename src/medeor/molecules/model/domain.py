"""How far a compound is from the training compounds of a model, what a prediction is worth at that distance, and which
measured analogues are nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field
from rdkit import Chem

from medeor import registry
from medeor.contracts import (
    BORDERLINE,
    IN_DOMAIN,
    Cases,
    Message,
    Model,
    Predictions,
    Run,
    Split,
    Target,
    UserError,
)
from medeor.files import read_json, read_parquet, write_json
from medeor.learning.domain import DomainCheck, DomainModel, with_verdicts, worst
from medeor.learning.saved import Shape, arrays_of, checked_targets, facts_of, save_model
from medeor.molecules.model.doubts import distinguishes, doubts
from medeor.molecules.read.fingerprints import blocks, fingerprints, nearest
from medeor.molecules.read.store import MoleculeStore
from medeor.statistics.outcomes import Outcomes
from medeor.targets import by_item, categorical, of
from medeor.targets.outcomes import line_up

BITS = 512
"""Bits of a compound's sketch: as good as 4,096 (rank correlation of distance and error over eight
divided sets .278 and .282), and too few to write the compound down again."""
NEIGHBOURS = 3
"""Training compounds whose mean distance tells the error; one alone is a matter of luck."""
BATCH_SIZE = 16_384
"""Compounds that are predicted at once, so that any number fits in memory."""
EDGE, BEYOND = 0.05, 0.005
"""Shares of the held-out compounds that lie beyond the edge, and where hardly one was tested."""
TRIED = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Shares of the farthest held-out compounds that are asked whether the model was better than a guess there."""
FEW = 20
"""Held-out compounds with which errors cannot be estimated."""
LARGER = 1.5
"""Times the largest training compound from which a compound is unknown by its size."""

_FILE, _ANALOGUES = "domain.safetensors", "analogues.json"


@dataclass(frozen=True)
class DistanceModel:
    """What distance means for one target. Similarity is Tanimoto of ECFP4 to the nearest training compound of which
    the target is known."""

    target: str
    items: tuple[str, ...]
    edge: float
    """Less alike than this were `EDGE` of the compounds when they were held out: the verdict is borderline."""
    unknown: float
    """Less alike than this hardly any was, or the model was no better than a guess: the verdict is out of domain."""
    guess: bool = False
    """Which of the two."""
    near: float | None = None
    """Mean absolute error of held-out compounds at no distance, in the target's unit (in powers of ten where its
    logarithm is learnt); None for classes, or too few."""
    slope: float = 0.0
    """By how much it grows from there to a compound that shares nothing with its `NEIGHBOURS`."""
    least: float = 0.0
    """Error below which none is expected."""
    few: int | None = None
    """How many compounds were held out, where they are too few to say anything: the verdict is out of domain."""
    stereo: bool = False
    """Whether the training compounds distinguish stereoisomers (see `doubts.distinguishes`): then one whose
    configuration is left open is borderline."""


@dataclass(frozen=True, eq=False)
class ApplicabilityDomain:
    """What is kept of the training compounds: of each a sketch, from which no structure can be read; who has a
    candidate can guess whether it was among them."""

    targets: tuple[Target, ...]
    sketches: np.ndarray
    """Shape (compounds, BITS), uint8: which hashed substructures it has."""
    known: np.ndarray
    """Shape (compounds, targets), bool: which targets are known of it."""
    elements: tuple[int, ...]
    """Atomic numbers that occur."""
    largest: int
    """Atoms of the largest, without hydrogen."""
    reaches: tuple[DistanceModel, ...]
    measured: pl.DataFrame | None = None
    """The training compounds (`smiles`, `place`, targets), in the order of the sketches; None unless the user lets
    their structures and values go into the model, and so into its bundle."""

    @property
    def at_once(self) -> int:
        return BATCH_SIZE

    @property
    def holds_training_values(self) -> bool:
        """A sketch is no value, and no structure can be read from it (see `BITS`)."""
        return self.measured is not None

    def save(self, folder: Path) -> None:
        arrays = {"sketches": np.packbits(self.sketches, axis=1), "known": np.packbits(self.known, axis=1)}
        facts = {
            "targets": self.targets,
            "reaches": self.reaches,
            "elements": self.elements,
            "largest": self.largest,
        }
        if self.measured is not None:
            write_json(folder / _ANALOGUES, self.measured.to_dict(as_series=False))
        save_model(folder, "molecule-domain", facts, arrays, _FILE)

    def judge(self, cases: Cases) -> pl.DataFrame:
        """One row a case and item: `spread` (the expected error, of a number learnt by its logarithm a factor; null
        for classes), `similarity` to the nearest training compound, `verdict` and, where it is not in domain, its
        `reason`."""
        first, mean = alike(sketch(cases), self.sketches, self.known)
        graphs = cases.store("molecules", MoleculeStore).graphs
        rows = cases.store("molecules", MoleculeStore).rows(cases.table["smiles"])
        atoms = np.diff(graphs.atom_start)[rows]
        strange = self._new_elements(graphs.batch(rows).atoms[:, 0], np.repeat(np.arange(len(rows)), atoms), len(rows))
        parts = [
            self.verdicts(model, cases.ids, first[:, place], mean[:, place], atoms, strange)
            for place, model in enumerate(self.reaches)
        ]
        doubtful = doubts(cases.table, any(model.stereo for model in self.reaches))
        return pl.concat(
            _doubted(part, doubtful.changed, doubtful.undefined if model.stereo else {})
            for part, model in zip(parts, self.reaches, strict=True)
        )

    def _new_elements(self, elements: np.ndarray, case: np.ndarray, count: int) -> np.ndarray:
        """The lowest atomic number of each case that no training compound has, or 0; shape (count,). Hydrogen, which
        is an atom of its own where it is labelled, is in every compound."""
        new = ~np.isin(elements, (1, *self.elements))
        lowest = np.full(count, 255)
        np.minimum.at(lowest, case[new], elements[new])
        return np.where(lowest == 255, 0, lowest)

    def verdicts(
        self,
        model: DistanceModel,
        ids: Sequence[str],
        first: np.ndarray,
        mean: np.ndarray,
        atoms: np.ndarray,
        new: np.ndarray,
    ) -> pl.DataFrame:
        """The verdicts on one target of these cases, from the similarity to the nearest compound and the mean to the
        nearest few, the number of atoms, and an element that is new, or 0; each of shape (cases,)."""
        far = np.where(first < model.unknown, 2, np.where(first < model.edge, 1, 0))
        large = np.where(atoms > LARGER * self.largest, 2, np.where(atoms > self.largest, 1, 0))
        few = np.full(len(ids), 0 if model.few is None else 2)
        edge = ("", "edge", "guess" if model.guess else "untested")
        symbol = Chem.GetPeriodicTable().GetElementSymbol
        checks = [
            DomainCheck(few, lambda row: _why("few", count=model.few)),
            DomainCheck(np.where(new > 0, 2, 0), lambda row: _why("element", element=symbol(int(new[row])))),
            DomainCheck(large, lambda row: _why("size", atoms=int(atoms[row]), largest=self.largest)),
            DomainCheck(far, lambda row: _why(edge[far[row]], similarity=float(first[row]), share=EDGE)),
        ]
        spread = None
        if model.near is not None:
            spread = np.maximum(model.near + model.slope * (1 - mean.astype(np.float64)), model.least)
            spread = of(by_item(self.targets)[model.items[0]]).stated(spread)
        judged = worst(ids, checks).select(
            "case_id",
            pl.lit(list(model.items)).alias("item"),
            pl.Series("spread", [None] * len(ids) if spread is None else spread, pl.Float64),
            pl.Series("similarity", first, pl.Float64),
            "verdict",
            "reason",
        )
        return judged.explode("item")


def _why(key: str, **values: object) -> str:
    return str(Message(f"molecules.domain.{key}", **values))


def _doubted(table: pl.DataFrame, *doubts: Mapping[str, str]) -> pl.DataFrame:
    """Verdicts that are borderline at best where something is doubted of a case, with the reasons behind the others."""
    for why in doubts:
        if why:
            doubt = pl.col("case_id").replace_strict(why, default=None, return_dtype=pl.String)
            inside = doubt.is_not_null() & (pl.col("verdict") == IN_DOMAIN)
            table = table.with_columns(
                pl.when(inside).then(pl.lit(BORDERLINE)).otherwise("verdict").alias("verdict"),
                pl.concat_str("reason", doubt, separator="; ", ignore_nulls=True).replace("", None).alias("reason"),
            )
    return table


def alike(queries: np.ndarray, references: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarity of each query to the most alike reference of which a target is known, and the mean over the
    `NEIGHBOURS` most alike: twice shape (queries, targets), float32; 0 where there is none."""
    masks, which = np.unique(known, axis=1, return_inverse=True)
    first, mean = (np.zeros((len(queries), masks.shape[1]), np.float32) for _ in range(2))
    for start, similarity in blocks(queries, references):
        end = start + len(similarity)
        for place, mask in enumerate(masks.T):
            of = similarity if mask.all() else similarity[:, mask]
            if k := min(NEIGHBOURS, of.shape[1]):
                best = -np.partition(-of, k - 1, axis=1)[:, :k]
                first[start:end, place], mean[start:end, place] = best.max(axis=1), best.mean(axis=1)
    return first[:, which.ravel()], mean[:, which.ravel()]


def learned(
    sharing: bool, cases: Cases, split: Split, held_out: Predictions
) -> tuple[ApplicabilityDomain, Predictions]:
    """See `DomainMethod.learn`; `sharing`: whether the training compounds themselves go into the model."""
    domain, held_out = learn(cases, split, held_out)
    compounds = measured_in(cases, split).drop("place", strict=False) if sharing else None  # it names a file
    return replace(domain, measured=compounds), held_out


def learn(cases: Cases, split: Split, held_out: Predictions) -> tuple[ApplicabilityDomain, Predictions]:
    """The domain of a model that was fitted on the training and validation parts, and its held-out predictions with
    what was known of each at that time: the distance to the training compounds of the model that predicted it."""
    training = split.part(cases, "train", "validation")
    known = training.table.select(pl.col(t.name).is_not_null() for t in cases.targets).to_numpy()
    graphs = training.store("molecules", MoleculeStore).graphs
    rows = training.store("molecules", MoleculeStore).rows(training.table["smiles"])
    domain = ApplicabilityDomain(
        cases.targets,
        sketch(training),
        known,
        tuple(np.unique(graphs.batch(rows).atoms[:, 0]).tolist()),
        int(np.diff(graphs.atom_start)[rows].max()),
        (),
    )
    places, first, mean = _when_held_out(training, split, held_out, domain)
    of_row = np.full(len(training), -1)
    of_row[places] = np.arange(len(places))
    reaches = []
    for number, target in enumerate(cases.targets):
        held = line_up(training, held_out, target) if len(places) else None
        own = np.empty(0, np.int64) if held is None else of_row[held.rows]
        model = _distance_model(target, held, first[own, number], mean[own, number])
        reaches.append(replace(model, stereo=distinguishes(training.table["smiles"].filter(known[:, number]))))
    domain = replace(domain, reaches=tuple(reaches))
    if not len(places):
        return domain, held_out
    ids = training.table["case_id"].gather(places).to_list()
    still, none = np.ones(len(ids), np.int64), np.zeros(len(ids), np.int64)
    judged = pl.concat(
        [domain.verdicts(r, ids, first[:, n], mean[:, n], still, none) for n, r in enumerate(domain.reaches)]
    )
    return domain, with_verdicts(held_out, judged)


def _when_held_out(
    training: Cases, split: Split, held_out: Predictions, domain: ApplicabilityDomain
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the held-out compounds among all, and how alike (see `alike`) each was to the training compounds of the
    model it was held out from: the other folds, or all that were not held out."""
    out = training.table["case_id"].is_in(held_out.table["case_id"].unique().implode()).to_numpy()
    fold = split.folds_of(training) if out.all() else np.where(out, 0, 1)
    places = np.flatnonzero(out)
    first, mean = (np.zeros((len(training), len(domain.targets)), np.float32) for _ in range(2))
    for number in np.unique(fold[out]):
        own = fold == number
        first[own], mean[own] = alike(domain.sketches[own], domain.sketches[~own], domain.known[~own])
    return places, first[places], mean[places]


def _distance_model(target: Target, held: Outcomes | None, first: np.ndarray, mean: np.ndarray) -> DistanceModel:
    """What held-out predictions show about distance."""
    if held is None or len(held) < FEW:
        return DistanceModel(target.name, of(target).items, 0.0, 0.0, few=0 if held is None else len(held))
    edge, unknown = (float(np.quantile(first, share)) for share in (EDGE, BEYOND))
    error, guess = of(target).errors(held)
    guessing = False
    for share in TRIED:
        limit = float(np.quantile(first, share))
        far = first < limit
        if far.sum() >= FEW // 2 and limit > unknown and np.mean(error[far]) >= np.mean(guess[far]):
            unknown, guessing = limit, True
    model = DistanceModel(target.name, of(target).items, max(edge, unknown), unknown, guessing)
    if of(target).classes:
        return model
    slope, near = np.polyfit(1 - mean.astype(np.float64), error, 1) if np.ptp(mean) else (0.0, float(error.mean()))
    if slope <= 0:
        slope, near = 0.0, float(error.mean())
    return replace(model, near=float(near), slope=float(slope), least=0.3 * float(error.mean()))


def sketch(cases: Cases) -> np.ndarray:
    """Which hashed substructures each compound has, shape (cases, BITS), uint8."""
    return (fingerprints(cases.table["smiles"].to_list(), BITS) > 0).astype(np.uint8)


@dataclass(frozen=True)
class _Saved:
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    reaches: tuple[DistanceModel, ...]
    elements: tuple[Annotated[int, Field(ge=0, le=118)], ...]
    largest: Annotated[int, Field(ge=0)]
    processors: dict[str, bool] = field(default_factory=dict)
    """Of medeor 0.1, which stated here whether the compounds go along."""


def load(folder: Path) -> DomainModel:
    """Reads what `DomainModel.save` wrote. Raises: UserError where it is damaged."""
    facts, where = facts_of(folder, _Saved), str(folder / "model.json")
    targets = checked_targets(facts.targets, where)
    if [(one.target, one.items) for one in facts.reaches] != [(one.name, of(one).items) for one in targets]:
        raise UserError("molecules.model.damaged", path=where)
    shapes = {"sketches": Shape("U8", (None, BITS // 8)), "known": Shape("U8", (None, -(-len(targets) // 8)))}
    arrays = arrays_of(folder / _FILE, shapes)
    if len(arrays["sketches"]) != len(arrays["known"]):
        raise UserError("molecules.model.damaged", path=where)
    kept = folder / _ANALOGUES
    domain = ApplicabilityDomain(
        targets,
        np.unpackbits(arrays["sketches"], axis=1, count=BITS),
        np.unpackbits(arrays["known"], axis=1, count=len(targets)).astype(bool),
        facts.elements,
        facts.largest,
        facts.reaches,
        _measured_from(kept, targets, len(arrays["sketches"])) if kept.exists() else None,
    )
    return DomainModel(registry.load_part(folder, "model"), domain)


def _measured_from(path: Path, targets: Sequence[Target], compounds: int) -> pl.DataFrame:
    """The compounds that go with a model. Raises: UserError where they are not those of its sketches."""
    values = read_json(path)
    needed = {"smiles", *(target.name for target in targets)}
    ends = {target.name: len(of(target).classes) for target in categorical(targets)}

    def fits(name: str, value: object) -> bool:
        if name == "smiles" or value is None:
            return isinstance(value, str) == (name == "smiles")
        return type(value) in (int, float) and (name not in ends or value in range(ends[name]))

    if (
        not isinstance(values, dict)
        or not needed <= set(values) <= needed | {target.limit for target in targets}
        or any(not isinstance(column, list) or len(column) != compounds for column in values.values())
        or not all(fits(name, value) for name, column in values.items() for value in column)
    ):
        raise UserError("molecules.model.damaged", path=path)
    return pl.DataFrame(values, schema={name: pl.String if name == "smiles" else pl.Float64 for name in values})


# --- measured analogues ----------------------------------------------------------------------------------


def measured_in(cases: Cases, split: Split) -> pl.DataFrame:
    """The training compounds of a model: `smiles`, `place` where known, and the targets with their limits
    (`Target.limit`) where some are censored; in the order of `ApplicabilityDomain.sketches`."""
    table = split.part(cases, "train", "validation").table
    columns = ["place", *(name for target in cases.targets for name in (target.name, target.limit))]
    return table.select("smiles", *(name for name in columns if name in table.columns))


def domain_of(model: Model) -> ApplicabilityDomain | None:
    """The domain of a model of compounds; None where it has none."""
    domain = model.domain if isinstance(model, DomainModel) else None
    return domain if isinstance(domain, ApplicabilityDomain) else None


def measured_of(domain: ApplicabilityDomain | None, run: Run) -> pl.DataFrame | None:
    """The compounds that a model was fitted on, from its domain where they go with it, else as the run keeps them; None
    for a bundle without them, and where there is no domain."""
    if domain is None:
        return None
    if domain.measured is not None:
        return domain.measured
    if not {"cases", "split"} <= set(run.kept):
        return None
    cases = Cases(read_parquet(run.kept["cases"]), domain.targets)
    return measured_in(cases.usable, Split(read_parquet(run.kept["split"])))


def analogues(domain: ApplicabilityDomain, cases: Cases, measured: pl.DataFrame, k: int = NEIGHBOURS) -> pl.DataFrame:
    """The k training compounds most like each case, the best first: `case_id, rank, similarity` and the columns of
    `measured`."""
    found = nearest(sketch(cases), domain.sketches, k)
    width = found.places.shape[1]
    table = measured[found.places.ravel()]
    return table.select(
        pl.Series("case_id", [one for one in cases.ids for _ in range(width)], dtype=pl.String),
        pl.Series("rank", np.tile(np.arange(1, width + 1), len(cases))),
        pl.Series("similarity", found.similarity.ravel().astype(np.float64)),
        pl.all(),
    )
