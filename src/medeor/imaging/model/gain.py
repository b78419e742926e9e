"""Whether denoising or contrast enhancement helps: the same study without it, on the same folds, paired."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from medeor.contracts import Cases, Fitted, Inputs, Method, Run, Split
from medeor.files import write_json
from medeor.learning.folds import fit_or_load
from medeor.targets import headlines
from medeor.trust.compare import compare

FILE = "gain.json"


@dataclass(frozen=True)
class WithGain:
    """Fits a method with and without a step of preparation. The first is kept, and `gain.json` has the gain of the step
    on held-out cases."""

    method: Method
    without: Method
    step: str

    def fit(self, cases: Cases, split: Split, inputs: Inputs, run: Run) -> Fitted:
        fitted = self.method.fit(cases, split, inputs, run)
        plain = fit_or_load(self.without, cases, split, inputs, run.child("without"))
        held = cases.where(pl.col("case_id").is_in(fitted.held_out.table["case_id"].unique().implode()))
        rows = compare(held, fitted.held_out, plain.held_out, metrics=list(headlines(cases.targets)[:1]))
        if run.leader:
            write_json(run.folder / FILE, {"step": self.step, "rows": [row._asdict() for row in rows]})
        return fitted
