"""How a triple compares with the training triples of a model: a vector without a training triple is untrained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from medeor.contracts import BORDERLINE, IN_DOMAIN, OUT_OF_DOMAIN, Message
from medeor.knowledge.read.triples import degrees

FEW = 3
"""Training triples of an entity or relation below which its vector is hardly trained."""


class TripleDomain(NamedTuple):
    """What a model has training triples of."""

    ends: np.ndarray
    """Shape (entities,): training triples of each."""
    uses: np.ndarray
    """Shape (relations,): training triples of each."""
    kinds: np.ndarray
    """Shape (entities,): number of the kind of each; -1 where unknown."""
    met: np.ndarray
    """Shape (2, relations, kinds): whether training has a head (a tail) of that kind."""

    @classmethod
    def of(cls, training: np.ndarray, entities: int, relations: int, kinds: np.ndarray) -> TripleDomain:
        """From the training triples, shape (n, 3), and the kinds of the entities."""
        head, relation, tail = training.T
        met = np.zeros((2, relations, kinds.max(initial=-1) + 2), bool)
        for place, end in enumerate((head, tail)):
            # Of an entity of unknown kind it is not known where it fits: the last column takes it, and is not asked.
            met[place, relation, kinds[end]] = True
        return cls(degrees(training, entities), np.bincount(relation, minlength=relations), kinds, met)

    def verdicts(self, triples: np.ndarray, names: pl.DataFrame) -> pl.DataFrame:
        """verdict and reason of triples, shape (n, 3). `names` has head, relation, tail, head_kind and tail_kind."""
        head, relation, tail = triples.T
        known = {"head": self.ends[head], "relation": self.uses[relation], "tail": self.ends[tail]}
        table = names.with_columns(pl.Series(f"{name} count", count) for name, count in known.items())
        fits = {
            name: (self.kinds[end] < 0) | (self.uses[relation] == 0) | self.met[place, relation, self.kinds[end]]
            for place, (name, end) in enumerate((("head", head), ("tail", tail)))
        }
        table = table.with_columns(pl.Series(f"{name} fits", fit) for name, fit in fits.items())
        count = {name: pl.col(f"{name} count") for name in known}
        unseen = pl.any_horizontal(count[name] == 0 for name in known)
        scarce = pl.any_horizontal(count[name] < FEW for name in known)
        unfit = ~pl.all_horizontal("head fits", "tail fits")
        verdict = (
            pl.when(unseen).then(pl.lit(OUT_OF_DOMAIN))
            .when(scarce | unfit).then(pl.lit(BORDERLINE))
            .otherwise(pl.lit(IN_DOMAIN))
        )  # fmt: skip
        reasons = pl.Series("reason", [_reason(row) for row in table.iter_rows(named=True)], dtype=pl.String)
        return table.select(verdict.alias("verdict"), reasons)


def _reason(row: Mapping[str, Any]) -> str | None:
    """Why a triple is not in the domain; None where it is."""
    found = []
    for name, what in (("head", "entity"), ("relation", "relation"), ("tail", "entity")):
        if (count := row[f"{name} count"]) < FEW:
            found.append(Message(f"knowledge.domain.{'few' if count else 'no'}-{what}", name=row[name], count=count))
    for end in ("head", "tail"):
        if not row[f"{end} fits"]:
            found.append(Message(f"knowledge.domain.odd-{end}", relation=row["relation"], kind=row[f"{end}_kind"]))
    return str(Message("knowledge.domain.reasons", reasons=tuple(found))) if found else None
