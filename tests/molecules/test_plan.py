"""What the facts of the training compounds make of the plan, and a budget of minutes of its length."""

from __future__ import annotations

import polars as pl
import pytest

from medeor.contracts import Budget, Cases, Split, Target
from medeor.learning.networks import budget
from medeor.learning.networks.budget import Trial
from medeor.learning.rehearsal import FitTime, Line
from medeor.molecules.plan import rules
from medeor.molecules.read.store import MoleculeStore
from medeor.molecules.task import MoleculeTask


def compounds(count: int, kind: str = "continuous") -> Cases:
    """Chains of carbon, one a case."""
    smiles = pl.Series("smiles", ["C" * (1 + number % 30) for number in range(count)])
    ids = [f"c{number}" for number in range(count)]
    table = pl.DataFrame({"case_id": ids, "group": ids, "smiles": smiles, "y": [float(n % 2) for n in range(count)]})
    store = MoleculeStore(smiles.unique(maintain_order=True))
    return Cases(table, (Target("y", kind),), {"molecules": store})


@pytest.mark.parametrize(
    ("count", "members", "batch", "epochs"),
    [(1499, "folds", 32, 60), (1500, "folds", 64, 40), (10_000, "folds", 64, 40), (10_001, "single", 64, 20)],
)
def test_few_compounds_get_an_ensemble_and_fewer_still_small_batches(
    count: int, members: str, batch: int, epochs: int
) -> None:
    plan = rules(compounds(count))
    assert (plan.members, plan.training.batch, plan.schedule.epochs) == (members, batch, epochs)


def test_trees_on_classes_are_boosted_less() -> None:
    assert rules(compounds(40, "binary")).trees.rounds == 150
    assert rules(compounds(40)).trees.rounds > 150


def divided(cases: Cases) -> Split:
    part = pl.Series(["train"] * 60 + ["test"] * 20)
    fold = pl.Series([n % 5 for n in range(60)] + [None] * 20, dtype=pl.Int32)
    return Split(pl.DataFrame({"case_id": cases.ids, "part": part, "fold": fold}))


def test_what_the_user_fixed_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five folds of four fifths of ten steps of 1.5 s are a minute an epoch."""
    monkeypatch.setattr(budget, "trial", lambda *_: Trial(1.5, 10, 3 << 30))
    monkeypatch.setattr(budget, "fit_time", lambda *_: FitTime(Line(), Line()))
    cases = compounds(80)
    plan = MoleculeTask().plan(cases, divided(cases), Budget(None, 1 << 33, 1, {"schedule.epochs": "5000"}))
    assert (plan.schedule.epochs, plan.estimate.minutes) == (5000, pytest.approx(5000))


def test_without_a_network_only_the_trees_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve seconds in each of five folds."""
    monkeypatch.setattr(budget, "fit_time", lambda *_: FitTime(Line(), Line(12.0)))
    cases = compounds(80)
    plan = MoleculeTask().plan(cases, divided(cases), Budget(1, 1 << 33, 1, {"parts": '["trees"]'}))
    assert plan.parts == ("trees",)
    assert plan.estimate.minutes == pytest.approx(1)
    assert plan.estimate.memory_gib is None


def test_minutes_become_epochs() -> None:
    cases = compounds(80)
    split = divided(cases)
    free, short = (MoleculeTask().plan(cases, split, Budget(minutes, 1 << 33, 1)) for minutes in (None, 1e-9))
    assert free.schedule.epochs == rules(split.part(cases, "train")).schedule.epochs
    assert short.schedule.epochs == 1
    assert free.estimate.minutes > 0  # type: ignore[operator]
