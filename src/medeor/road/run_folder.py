"""Whose a run folder is: one study's, from its first file to its last; and what each model in it was fitted with. What
was fitted is thrown away only when the user says `--again`."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from medeor import __version__
from medeor.contracts import Message, Plan, Study, Text, UserError, listed
from medeor.files import digest, plain, private_folder, read_json, read_toml, sweep, writable, write_json, write_text
from medeor.machine import threads
from medeor.road.bundle import of_another_version
from medeor.road.study_file import study_values
from medeor.settings import flat

KEY = "key.json"
"""In the folder of a model: what it is fitted with."""

FREE = ("accept", "subgroups", "prevalence", "threshold")
"""What of a study bears on no fit: with another of these the same models are judged anew."""


def usable(folder: Path) -> None:
    """Raises: UserError when a folder cannot be written to, or holds something other than a run."""
    writable(folder / "run.json")
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if not _state(folder) and any(not name.startswith(".") for name in found - {"plan.toml"}):
        raise UserError("road.run-folder.no-run", folder=folder)


def same_version(folder: Path) -> None:
    """Raises: UserError when another version of medeor began the run in a folder."""
    state = _state(folder)
    if state and (other := of_another_version(folder, state)):
        raise UserError(other)


def free(folder: Path, study: Study, again: bool = False) -> str:
    """The study's key, when the folder is free for it: a study that has fitted nothing yet gives way, and so does any
    when the user wants to begin `again`.

    Raises: UserError when it is not, or another version of medeor began what is there."""
    if not again:
        same_version(folder)
    asked = _bound(study_values(study))
    key = digest(tomli_w.dumps(asked))
    state = _state(folder)
    if state and fitted(folder / "model") and state.get("study") != key and not again:
        before = read_toml(folder / "study.toml") if (folder / "study.toml").exists() else {}
        changes = _changes(_flat(_bound(before)), _flat(plain(asked)))
        what = Message("files.detail", text=changes) if changes else ""
        raise UserError("road.run-folder.another-study", folder=folder, changes=what)
    return key


def _bound(study: Mapping[str, Any]) -> dict[str, Any]:
    """What of a study the fit depends on."""
    return {name: value for name, value in study.items() if name not in FREE}


def fitted(folder: Path) -> bool:
    """Whether a fit has left anything in this folder that took time to make."""
    return any(path.suffix in (".safetensors", ".parquet") for path in folder.rglob("*"))


def fit_key(plan: Plan, split: str, data: str, seed: int) -> dict[str, object]:
    """Everything that a fit depends on, by name. The plan is known by its values as they stand in `plan.toml`, without
    the estimate, which changes nothing; the split and the data are known by their digests."""
    facts = {"data": data, "split": split, "threads": threads(), "seed": seed, "medeor": __version__}
    return {"plan": plan_values(plan), **facts}


def plan_values(plan: Plan) -> dict[str, Any]:
    """The values of a plan as they stand in `plan.toml`, by their full names, without the estimate."""
    values = plain(dataclasses.asdict(plan))  # type: ignore[call-overload]
    values.pop("estimate", None)
    return _flat(values)


def same_fit(folder: Path, key: Mapping[str, object]) -> None:
    """Raises: UserError when the model in a folder was begun with another key; it says what differs."""
    if not fitted(folder):
        return
    kept = read_json(folder / KEY) if (folder / KEY).exists() else None
    if not isinstance(kept, dict) or not isinstance(kept.get("plan"), dict) or set(kept) != set(key):
        differs: Sequence[Text] = (Message("road.run-folder.another-version"),)
    elif kept == key:
        return
    else:
        other = [name for name in key if kept[name] != key[name]]
        changes = _changes(kept["plan"], dict(key["plan"])) if "plan" in other else ""  # type: ignore[call-overload]
        both = {name: {"before": _short(kept[name]), "now": _short(key[name])} for name in other}
        differs = tuple(Message(f"road.run-folder.differs.{name}", changes=changes, **both[name]) for name in other)
    raise UserError("road.run-folder.another-fit", folder=folder, differs=differs)


def begin_fit(folder: Path, key: Mapping[str, object], again: bool) -> None:
    """Makes the folder of a model ready: what was begun there (`same_fit`) stays, to go on from there, unless the user
    wants to begin `again`."""
    if again or not fitted(folder):
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / KEY, key)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """By full name; JSON has no infinity and no NaN."""
    odd = {name: str(one) for name, one in flat(values) if isinstance(one, float) and not math.isfinite(one)}
    return {**dict(flat(values)), **odd}


def _changes(before: Mapping[str, object], now: Mapping[str, object]) -> Message | tuple[object, ...]:
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    values = ((name, _short(before.get(name)), _short(now.get(name))) for name in names)
    return listed((Message("road.run-folder.change", name=name, before=old, now=new) for name, old, new in values), 3)


def _short(value: object) -> Text:
    if value is None:
        return Message("road.run-folder.not-set")
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def claim(folder: Path, study: Study, key: str, again: bool = False) -> None:
    """Makes the folder this study's own. A plan that medeor made for another study, or before it is all done `again`,
    goes; one that the user wrote or edited stays."""
    private_folder(folder)
    sweep(folder)
    if (again or _state(folder).get("study", key) != key) and own_plan(folder):
        (folder / "plan.toml").unlink()
    note(folder, medeor=__version__, study=key, finished=False)
    write_text(folder / "study.toml", tomli_w.dumps(study_values(study)))


def _state(folder: Path) -> dict[str, object]:
    """What `run.json` says of the run: the version of medeor that began it, its study, whether it has finished, the
    plan that medeor made for it."""
    path = folder / "run.json"
    state = read_json(path) if path.exists() else {}
    if not isinstance(state, dict):
        raise UserError("files.damaged.file", path=path)
    return state


def note(folder: Path, **facts: object) -> None:
    write_json(folder / "run.json", {**_state(folder), **facts})


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """What is noted of the steps that are done, by name (see `step.Walk.do`); of another version of medeor, nothing."""
    state = _state(folder)
    found = state.get("steps") if state.get("medeor") == __version__ else None
    listed = found.items() if isinstance(found, dict) else ()
    return {name: one for name, one in listed if isinstance(one, dict) and set(one) >= {"read", "wrote", "facts"}}


def finished(folder: Path) -> bool:
    return bool(_state(folder).get("finished"))


def own_plan(folder: Path) -> bool:
    """Whether the plan in a folder is the one that medeor made, untouched."""
    path = folder / "plan.toml"
    return path.exists() and digest(path) == _state(folder).get("plan")
