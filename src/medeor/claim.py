"""Whose a run folder is: one study's, from its first file to its last."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from medeor.bundle import study_values
from medeor.contracts import Study, UserError
from medeor.files import digest, read_json, sweep, writable, write_json, write_text


def usable(folder: Path) -> None:
    """Raises: UserError when a folder cannot be written to, or holds something other than a run."""
    writable(folder / "run.json")
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if not _state(folder) and any(not name.startswith(".") for name in found - {"plan.toml"}):
        raise UserError(f"{folder} is not empty and holds no medeor run; choose another --out")


def free(folder: Path, study: Study) -> str:
    """The study's key, when the folder is free for it: a study that has fitted nothing yet gives way.

    Raises: UserError when it is not."""
    key = digest(tomli_w.dumps(study_values(study)))
    state = _state(folder)
    fitted = any(path.suffix in (".safetensors", ".parquet") for path in (folder / "model").rglob("*"))
    if state and fitted and state.get("study") != key:
        raise UserError(f"{folder} holds another study; choose another --out, or delete that folder")
    return key


def claim(folder: Path, study: Study, key: str) -> None:
    """Makes the folder this study's own. A plan that medeor made for another study goes; one that the user wrote or
    edited stays."""
    sweep(folder)
    if _state(folder).get("study", key) != key and own_plan(folder):
        (folder / "plan.toml").unlink()
    note(folder, study=key, finished=False)
    write_text(folder / "study.toml", tomli_w.dumps(study_values(study)))


def _state(folder: Path) -> dict[str, object]:
    """What `run.json` says of the run: its study, whether it has finished, the plan that medeor made for it."""
    path = folder / "run.json"
    state = read_json(path) if path.exists() else {}
    if not isinstance(state, dict):
        raise UserError(f"{path} is not the record of a run; choose another --out")
    return state


def note(folder: Path, **facts: object) -> None:
    write_json(folder / "run.json", {**_state(folder), **facts})


def own_plan(folder: Path) -> bool:
    """Whether the plan in a folder is the one that medeor made, untouched."""
    path = folder / "plan.toml"
    return path.exists() and digest(path) == _state(folder).get("plan")
