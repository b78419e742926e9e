"""One search of settings: a few plans fitted for a few epochs, and the one that ranks best fitted in full."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import polars as pl

from medeor.contracts import Cases, Fitted, Inputs, Message, Run, Split
from medeor.files import write_json
from medeor.knowledge.evaluation import mean_reciprocal_rank
from medeor.knowledge.model.recipe import GraphRecipe
from medeor.knowledge.plan import GraphPlan, tries
from medeor.learning.folds import fit_or_load
from medeor.learning.networks.method import NetworkMethod

_MOST = 2000
"""Triples that a setting is judged by."""


@dataclass(frozen=True)
class Searched:
    """The method of a plan, with its settings chosen first. They are judged by training triples that are held out from
    the tries alone: the validation part is kept for calibration."""

    plan: GraphPlan

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        chosen = self.plan
        if self.plan.search.settings:
            inner = _inner(cases, split, run.seed)
            judged = inner.part(cases, "validation")
            listed = []
            for number, plan in enumerate(tries(self.plan, self.plan.search.settings)):
                short = replace(plan.schedule, epochs=self.plan.search.epochs or max(1, plan.schedule.epochs // 5))
                method = NetworkMethod(GraphRecipe.of(plan), short)
                held_out = fit_or_load(method, cases, inner, inputs, run.child(f"try-{number}")).held_out
                listed.append((mean_reciprocal_rank(judged, held_out), plan))
                what, note = Message("knowledge.progress.search"), Message("knowledge.progress.mrr", mrr=listed[-1][0])
                run.progress(str(what), number + 1, self.plan.search.settings, str(note))
            chosen = max(listed, key=lambda one: one[0])[1]
            table = [
                {"mrr": value, "chosen": plan is chosen, "embedding": asdict(plan.embedding),
                 "smoothing": plan.training.smoothing, "learning_rate": plan.schedule.learning_rate}
                for value, plan in listed
            ]  # fmt: skip
            write_json(run.folder / "search.json", table)
        return NetworkMethod(GraphRecipe.of(chosen), chosen.schedule).fit(cases, split, inputs, run)


def _inner(cases: Cases, split: Split, seed: int) -> Split:
    """A tenth of the training groups as validation; what was held out before has no part."""
    train = split.part(cases, "train").table.select("case_id", "group")
    groups = train["group"].unique().sort()
    size = max(1, min(len(groups) // 10, _MOST))
    judged = groups.gather(np.random.default_rng((seed, 3)).permutation(len(groups))[:size])
    part = pl.when(pl.col("group").is_in(judged.implode())).then(pl.lit("validation")).otherwise(pl.lit("train"))
    return Split(train.select("case_id", part.alias("part"), pl.lit(None, pl.Int32).alias("fold")))
