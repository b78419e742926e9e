"""The registry of kinds: what is known of a figure by its name, and a kind that comes later."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch

from medeor import targets
from medeor.contracts import Cases, Predictions, Target, UserError
from medeor.learning.networks.heads import heads_for
from medeor.learning.networks.summaries import summaries_of
from medeor.learning.saved import checked_targets
from medeor.statistics.intervals import Estimator
from medeor.statistics.statistic import Statistic
from medeor.targets import averaged, headlines, label, main_figure, of, statistic
from medeor.targets.number import Number
from medeor.trust.calibration import calibrate
from medeor.trust.compare import compare
from medeor.trust.curves import figures
from medeor.trust.measures import measure

SICK, OLD = Target("sick", "binary", ("no", "yes")), Target("old", "binary")
GRADE, SIZE = Target("grade", "ordinal", ("1", "2", "3")), Target("size", "continuous", unit="mm")


# --- figures by their names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "text", "higher"),
    [
        ("recall/mild", "Recall: mild", True),
        ("auroc[sex=F]", "AUROC, sex: F", True),
        ("ppv@prevalence=0.05", "PPV at prevalence 0.05", True),
        ("ece/uncalibrated", "Calibration error (ECE): uncalibrated", False),
        ("mean_rank", "Mean rank", False),
        ("hits@10", "Hits at 10", True),
        ("brier/death by 5 y", "Brier score: death by 5 y", False),
        ("fold_error", "Fold error (geometric mean)", False),
        ("a task's own", "a task's own", True),
    ],
)
def test_a_figure_has_its_label_and_direction_by_its_name(metric: str, text: str, higher: bool) -> None:
    assert str(label(metric)) == text
    assert statistic(metric).higher_is_better == higher


def test_every_figure_of_a_kind_has_words_for_a_reader() -> None:
    assert not [name for name, one in targets._statistics().items() if str(one.label).startswith("statistics.")]


def test_headlines_follow_from_the_kinds() -> None:
    assert headlines((SICK,)) == ("auroc", "sensitivity", "specificity")
    assert headlines((SICK, OLD)) == ("auroc", "balanced_accuracy")
    assert headlines((SICK, GRADE)) == ("auroc/sick", "quadratic_weighted_kappa/grade")
    assert headlines((SIZE,)) == ("mae", "r2")
    assert headlines((Target("dose", "continuous", scale="log"),)) == ("fold_error", "within_2_fold")
    mains = [main_figure(asked) for asked in ((), (SICK, OLD), (GRADE,), (SIZE, SICK))]
    assert mains == ["", "auroc", "quadratic_weighted_kappa", "r2/size"]
    assert not averaged((GRADE, GRADE))


# --- what a file may say ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        Target("a", "binary", ("one",)),
        Target("a", "binary", ("no", "no")),
        Target("a", "multiclass"),
        Target("a", "ordinal", ("1",)),
        Target("a", "continuous", ("no", "yes")),
        Target("a", "survival", ("5", "1")),
        Target("a", "mood", ("good", "bad")),
    ],
    ids=lambda target: f"{target.kind}-{len(target.classes)}",
)
def test_a_target_that_is_none_is_refused_by_name(target: Target) -> None:
    with pytest.raises(UserError, match="'a'"):
        checked_targets((target,), "model.json")


def test_items_and_classes_of_each_kind() -> None:
    assert [of(one).items for one in (SICK, OLD, GRADE, SIZE)] == [("yes",), ("old",), ("1", "2", "3"), ("size",)]
    assert [tuple(map(str, of(one).classes)) for one in (SICK, OLD, SIZE)] == [
        ("no", "yes"),
        ("not old", "old"),
        (),
    ]
    assert of(OLD).class_name(1) == "old = 1"


# --- a kind that comes later -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Count(Number):
    """A number of events, judged by its Poisson deviance."""

    STATISTICS: ClassVar[tuple[Statistic, ...]] = (
        Statistic("deviance", "Poisson deviance", higher_is_better=False, headline="always", main=True, compared=True),
        Statistic("spearman", "Spearman's correlation", chance=0.0),
    )

    @property
    def statistics(self):
        return self.STATISTICS

    def loss(self, outputs, truth, fit, smoothing):
        each = torch.nn.functional.poisson_nll_loss(outputs[:, 0], truth[:, 0], reduction="none")
        return each, torch.ones_like(each)

    def values(self, outputs, fit):
        return outputs.exp()

    def families(self, one, prevalences):
        y, m = one.truth, one.values[:, 0]
        each = 2 * (np.where(y > 0, y * np.log(np.maximum(y, 1) / m), 0) - (y - m))
        name = ("deviance",)
        build = lambda: Estimator(name, lambda w: (w @ each / w.sum(axis=1))[:, None], one.groups)  # noqa: E731
        return [(name, build), *super().families(one, prevalences)[-1:]]

    def draw(self, every, baseline):
        return []


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cases, np.ndarray]]:
    monkeypatch.setitem(targets.KINDS, "count", "targets.test_kinds:Count")
    targets._statistics.cache_clear()
    generator = np.random.default_rng(0)
    mean = np.exp(generator.normal(size=200))
    ids = [f"c{row}" for row in range(200)]
    table = pl.DataFrame({"case_id": ids, "group": ids, "falls": generator.poisson(mean)})
    yield Cases(table, (Target("falls", "count"),)), mean
    targets._statistics.cache_clear()


def test_a_new_kind_is_a_file_and_a_line(counted: tuple[Cases, np.ndarray]) -> None:
    cases, mean = counted
    ours, flat = (
        Predictions(pl.DataFrame({"case_id": cases.ids, "item": "falls", "value": value}))
        for value in (mean, np.full(200, mean.mean()))
    )
    assert label("deviance") == "Poisson deviance"
    found = measure(cases, ours, resamples=50)
    assert found["deviance"].value == pytest.approx(1, abs=0.3)  # of a right model, about one a case
    (row,) = compare(cases, ours, flat, resamples=200)
    assert (row.metric, row.better) == ("deviance", "ours")
    assert [str(drawn.title) for drawn in figures(cases, ours, measures=found)] == ["Measures with 95 % intervals"]
    assert calibrate(cases, ours).targets[0].kind == "count"
    heads = heads_for(summaries_of(cases))
    loss, _ = heads.loss(torch.zeros(200, 1), heads.truth(cases))
    assert loss.tolist() == pytest.approx([1.0] * 200)  # exp(0) - y · 0
    assert heads.values(torch.tensor([[math.log(3)]])).item() == pytest.approx(3)
