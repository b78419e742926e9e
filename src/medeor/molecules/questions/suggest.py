"""What to make or to measure next: of a file of candidates those that may beat what was measured, or those that would
teach the model the most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import polars as pl
from scipy.stats import norm

from medeor.contracts import OUT_OF_DOMAIN, Answering, Answers, Cases, Message, Target, UserError, named
from medeor.figures import Table
from medeor.molecules.model.domain import domain_of, measured_of, sketch
from medeor.molecules.read.cases import endpoint_of
from medeor.molecules.read.fingerprints import blocks
from medeor.targets import of

SIGMAS = 2 * norm.ppf(0.95)
"""Standard deviations that an interval at 90 % is wide."""
MOST = 50_000
"""Candidates that are looked at for one choice."""

Aim = Literal["best", "learn"]
Better = Literal["higher", "lower"]


def answer(asked: Answering, where: Mapping[str, str]) -> Answers:
    """The candidates that are chosen, the first to make first: the columns of predictions, `source`, what names the
    compound in the file, `smiles` and `gain`: the expected improvement (Jones et al. 1998) on the best that was
    measured, of a class its probability; or, with `aim=learn`, how unsure the model is of it. A candidate counts the
    less, the more it is like one that was chosen before it; one that was measured, or is unlike all training
    compounds, is not chosen for its value.

    Raises: UserError for a question that is none, and candidates that cannot be read."""
    count, aim = _count(where), _aim(where)
    target = _target(where, asked.targets)
    if not where.get("candidates"):
        raise UserError("molecules.suggest.no-candidates")
    cases = asked.read(where["candidates"]).usable
    if len(cases) > MOST:
        raise UserError("molecules.suggest.too-many", path=where["candidates"], count=len(cases), most=MOST)
    cases = _unmeasured(cases, asked)
    table = asked.predict_cases(cases).table.filter(pl.col("item") == of(target).items[-1])
    facts = cases.table.select("case_id", "source", *cases.carried)
    table = facts.join(table, on="case_id", maintain_order="left")
    gain = _doubt(table, target) if aim == "learn" else _improvement(table, target, cases, asked, where)
    chosen = _diverse(gain, sketch(cases), count)
    table = table.with_columns(pl.Series("gain", gain))[chosen]
    return Answers(table, (_shown(table, target, aim),))


def _count(where: Mapping[str, str]) -> int:
    text = where.get("suggest", "")
    if not text.isdigit() or not int(text):
        raise UserError("molecules.suggest.no-count", text=text)
    return int(text)


def _aim(where: Mapping[str, str]) -> Aim:
    aim = where.get("aim", "best")
    if aim not in ("best", "learn"):
        raise UserError("molecules.suggest.aim", aim=aim)
    return aim  # type: ignore[return-value]


def _target(where: Mapping[str, str], targets: tuple[Target, ...]) -> Target:
    names = [target.name for target in targets]
    name = where.get("endpoint", names[0] if len(names) == 1 else "")
    if name not in names:
        raise UserError("molecules.suggest.endpoint", names=names)
    target = targets[names.index(name)]
    if len(of(target).items) > 1:
        raise UserError("molecules.suggest.several-classes", name=name)
    return target


def _unmeasured(cases: Cases, asked: Answering) -> Cases:
    """Each candidate once, less the training compounds, where these are known."""
    cases = cases.where(cases.table["smiles"].is_first_distinct())
    measured = measured_of(domain_of(asked.model), asked.run)
    if measured is not None:
        cases = cases.where(~pl.col("smiles").is_in(measured["smiles"].implode()))
    if not len(cases):
        raise UserError("molecules.suggest.none-new")
    return cases


def _doubt(table: pl.DataFrame, target: Target) -> np.ndarray:
    """How unsure the model is, shape (candidates,): the standard deviation of a number (of its logarithm), or of a
    class."""
    if not of(target).classes:
        return _normal(table, target)[1]
    value = table["value"].to_numpy()
    return np.sqrt(value * (1 - value))


def _improvement(
    table: pl.DataFrame, target: Target, cases: Cases, asked: Answering, where: Mapping[str, str]
) -> np.ndarray:
    """The gain that may be hoped for, shape (candidates,); 0 for what is unlike all training compounds."""
    better = _better(where, target, cases)
    if not of(target).classes:
        value, deviation = _normal(table, target)
        reference = _reference(where, target, asked, better)
        ahead = value - reference if better == "higher" else reference - value
        z = ahead / deviation
        gain = ahead * norm.cdf(z) + deviation * norm.pdf(z)
    else:
        gain = table["value"].to_numpy() if better == "higher" else 1 - table["value"].to_numpy()
    if "verdict" in table.columns:
        gain = np.where((table["verdict"] == OUT_OF_DOMAIN).fill_null(False).to_numpy(), 0.0, gain)
    return gain


def _normal(table: pl.DataFrame, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """Value and standard deviation of each candidate, of the logarithm where that is learnt."""
    columns = [table[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("value", "low", "high")]
    value, low, high = map(of(target).learned, columns)
    return value, np.maximum((high - low) / SIGMAS, 1e-9)


def _better(where: Mapping[str, str], target: Target, cases: Cases) -> Better:
    fact = endpoint_of(target, cases)
    better = where.get("better", "") or (fact.better if fact else "")
    if better not in ("higher", "lower"):
        raise UserError("molecules.suggest.better", target=target.name)
    return better  # type: ignore[return-value]


def _reference(where: Mapping[str, str], target: Target, asked: Answering, better: Better) -> float:
    """The value to beat, on the scale that is learnt; by default the best that was measured, limits left out."""
    text = where.get("than", "")
    measured = measured_of(domain_of(asked.model), asked.run)
    if text:
        try:
            value = float(text)
        except ValueError:
            raise UserError("molecules.suggest.no-number", text=text) from None
    elif measured is not None:
        truth = of(target).truth(measured)
        known = truth[of(target).scored(truth), 0]
        if not len(known):
            raise UserError("molecules.suggest.limits", target=target.name)
        value = float(known.max() if better == "higher" else known.min())
    else:
        raise UserError("molecules.suggest.nothing-measured")
    if of(target).logarithmic and value <= 0:
        raise UserError("molecules.suggest.not-positive", value=value, target=target.name)
    return float(of(target).learned(np.array(value)))


def _diverse(gain: np.ndarray, prints: np.ndarray, count: int) -> np.ndarray:
    """Candidates one by one, each the one whose gain, less the share that is like one chosen before, is the highest."""
    worth = gain.copy()
    left = np.ones(len(gain))
    chosen: list[int] = []
    for _ in range(min(count, int((gain > 0).sum()))):
        best = int(np.argmax(worth * left))
        chosen.append(best)
        similarity = np.concatenate([found[:, 0] for _, found in blocks(prints, prints[best : best + 1])])
        left = np.minimum(left, 1 - similarity)
        left[chosen] = -1
    return np.array(chosen, dtype=np.int64)


def _shown(table: pl.DataFrame, target: Target, aim: Aim) -> Table:
    heads = named("molecules.suggest", "source", "value", "low", "high", "verdict", "gain")
    shown = [
        name for name in heads if name in table.columns and (name == "gain" or table[name].null_count() < len(table))
    ]
    rows = tuple(
        tuple(f"{one:.3g}" if isinstance(one, float) else one for one in row) for row in table.select(shown).iter_rows()
    )
    learn = aim == "learn"
    title = Message("molecules.suggest.measure" if learn else "molecules.suggest.make", target=target.name)
    caption = Message("molecules.suggest.unsure" if learn else "molecules.suggest.improvement")
    return Table(title, tuple(heads[name] for name in shown), rows, caption)
