"""The kinds of target, one file each: what an answer looks like, how it is learned, combined, calibrated, decided,
scored and drawn. Every other room asks the kind; none asks which kind it is."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from medeor.contracts import Message, Target, Text, UserError

if TYPE_CHECKING:
    from medeor.statistics.statistic import Statistic
    from medeor.targets.binary import Binary
    from medeor.targets.classes import Classes
    from medeor.targets.common.kind import TargetKind
    from medeor.targets.number import Number
    from medeor.targets.ordinal import Ordinal
    from medeor.targets.survival import Survival

    # Held against the protocol here, as `of` finds them by name.
    _COMPLETE: tuple[type[TargetKind], ...] = (Binary, Classes, Ordinal, Number, Survival)

KINDS: dict[str, str] = {
    "binary": "medeor.targets.binary:Binary",
    "multiclass": "medeor.targets.classes:Classes",
    "ordinal": "medeor.targets.ordinal:Ordinal",
    "continuous": "medeor.targets.number:Number",
    "survival": "medeor.targets.survival:Survival",
}
"""By the name that a `Target` and saved files have: `module:class`. A new kind is a file and a line here."""


def of(target: Target) -> TargetKind:
    """The kind of a target, with the target in it. Raises: UserError where a file names a kind that there is not."""
    return _class(target)(target)


def items(targets: Iterable[Target]) -> list[str]:
    """The `item`s under which predictions of these targets stand, in their order."""
    return [item for target in targets for item in of(target).items]


def by_item(targets: Iterable[Target]) -> dict[str, Target]:
    """The target of each item."""
    return {item: target for target in targets for item in of(target).items}


def categorical(targets: Iterable[Target]) -> list[Target]:
    """Those whose answer is one of several classes."""
    return [target for target in targets if of(target).classes]


def measured(targets: Iterable[Target]) -> list[Target]:
    """The others: their answer is a quantity."""
    return [target for target in targets if not of(target).classes]


def _class(target: Target) -> Any:
    if target.kind not in KINDS:
        raise UserError("targets.kind.unknown", target=target.name, kind=target.kind[:40], kinds=list(KINDS))
    return _loaded(KINDS[target.kind])


@lru_cache
def _loaded(lives: str) -> Any:
    module, _, name = lives.partition(":")
    return getattr(importlib.import_module(module), name)


# --- what is known of a figure by its name ---------------------------------------------------------------


def statistic(metric: str) -> Statistic:
    """The statistic that a figure is, by its name among the measures: of `recall/mild`, `ece/uncalibrated`,
    `auroc[sex=F]` and `ppv@prevalence=0.05` what stands before the sign. One that no kind states goes by its name,
    and higher is better."""
    from medeor.statistics.statistic import Statistic

    name = metric.split("[")[0].split("@")[0].split("/")[0]
    return _statistics().get(name) or Statistic(name, name)


@lru_cache
def _statistics() -> dict[str, Statistic]:
    from medeor.statistics import ranks
    from medeor.targets import label_map

    stated = [one for lives in KINDS.values() for one in _loaded(lives).STATISTICS]
    return {one.name: one for one in reversed((*stated, *label_map.STATISTICS, *ranks.STATISTICS))}


def label(metric: str) -> Text:
    """A metric's name for a reader: `recall/mild` is "Recall: mild", `auroc[sex=F]` "AUROC, sex: F"."""
    name, _, inside = metric.removesuffix("]").partition("[")
    name, _, of_what = name.partition("/")
    name, _, at = name.partition("@")
    text = statistic(name).label
    if at:
        text = Message("targets.label.at", label=text, at=at.replace("=", " "))
    if of_what:
        text = Message("targets.label.of", label=text, what=of_what)
    return Message("targets.label.subgroup", label=text, subgroup=inside.replace("=", ": ", 1)) if inside else text


def averaged(targets: Sequence[Target]) -> tuple[Statistic, ...]:
    """The statistics whose mean over these targets is reported under the plain name (the macro mean); none unless the
    targets are several of one kind that has such."""
    if len(targets) < 2 or len({target.kind for target in targets}) > 1:
        return ()
    return tuple(one for one in of(targets[0]).statistics if one.averaged)


def headlines(targets: Sequence[Target]) -> tuple[str, ...]:
    """Names of the figures that matter most for these targets, as they stand among the measures: reported of subgroups
    and drawn first."""
    if len(targets) == 1:
        return tuple(one.name for one in of(targets[0]).statistics if one.headline in ("alone", "always"))
    if together := averaged(targets):
        return tuple(one.name for one in together if one.headline in ("together", "always"))
    return tuple(f"{headlines((target,))[0]}/{target.name}" for target in targets)


def main_figure(targets: Sequence[Target]) -> str:
    """The figure by which models are compared, as it stands among the measures: of several targets of one kind their
    mean, of others that of the first; empty where there are no targets."""
    if not targets:
        return ""
    name = next(one.name for one in of(targets[0]).statistics if one.main)
    return name if len(targets) == 1 or averaged(targets) else f"{name}/{targets[0].name}"
