"""What goes along in a bundle: of every kind of model, no name, identifier or path, and training values only where its
manifest says so."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load as arrays_in

import medeor
import tiny
from knowledge import wheel
from medeor.contracts import UserError
from medeor.files import read_toml
from medeor.road.bundle import write_bundle

FAST = ("schedule.epochs=1", "network.width=8", "trees.rounds=3", "members=single")
SMILES = ["C" * n + end for n in range(6, 14) for end in ("O", "N", "C(=O)O", "c1ccccc1", "Cl")]


class Packed(NamedTuple):
    """A bundle, opened as a stranger would."""

    path: Path
    declared: bool
    texts: str
    """Its JSON, TOML and Markdown, and all names of entries and arrays."""
    numbers: np.ndarray
    """Every number in it, as float32."""


def opened(path: Path) -> Packed:
    texts, numbers = [], []
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith(".safetensors"):
                arrays = arrays_in(content)
                texts += [name, *arrays]
                numbers += [one.astype(np.float32).ravel() for one in arrays.values() if one.dtype.kind == "f"]
            else:
                texts += [name, content.decode()]
                if name.endswith(".json"):
                    numbers.append(np.array(list(_numbers(json.loads(content))), np.float32))
    return Packed(path, manifest["training cases inside"], "\n".join(texts), np.concatenate(numbers))


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner)
    elif isinstance(value, float):
        yield value


def trained(room: Path, name: str, *flags: object, settings: tuple[str, ...] = FAST) -> Path:
    chosen = [word for one in settings for word in ("--set", one)]
    said = tiny.medeor("train", *flags, *chosen, "--out", room / name, "--quiet")
    assert said.code == 0, said.err
    return room / name / f"{name}.medeor"


@pytest.fixture(scope="module")
def compounds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, dict[str, Path]]:
    """A folder whose name, and whose table, name a person; the values that were measured; a bundle of every kind."""
    room = tmp_path_factory.mktemp("SMITH_JANE")
    values = np.array([round(3.1234 + np.sin(n) + n / 100, 4) for n in range(len(SMILES))])
    names = [f"MRN-77{n:03d}" for n in range(len(SMILES))]
    table = room / "assay_of_jane.csv"
    pl.DataFrame({"Name": names, "smiles": SMILES, "potency": values}).write_csv(table)
    asked = (table, "--target", "potency")
    made = {
        "stack": trained(room, "stack", *asked, settings=(*FAST, 'parts=["network","trees"]')),
        "with-neighbours": trained(room, "with-neighbours", *asked, settings=(*FAST, 'parts=["trees","neighbours"]')),
        "neighbours": trained(room, "neighbours", *asked, settings=('parts=["neighbours"]', "members=folds")),
        "told": trained(room, "told", *asked, settings=(*FAST, 'parts=["trees"]', "analogues=true")),
    }
    base = f"inputs.base={room / 'stack'}"
    made["adapted"] = trained(room, "adapted", *asked, settings=(base,))
    made["adapted-told"] = trained(room, "adapted-told", *asked, settings=(base, "analogues=true"))
    return room, values.astype(np.float32), made


KINDS = {
    "stack": False, "with-neighbours": True, "neighbours": True, "told": True, "adapted": True, "adapted-told": True,
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_structures_of_compounds_are_declared(
    kind: str, compounds: tuple[Path, np.ndarray, dict[str, Path]]
) -> None:
    room, values, made = compounds
    found = opened(made[kind])
    assert found.declared is KINDS[kind]
    structures = sum(json.dumps(one) in found.texts for one in SMILES)
    measured = np.isin(values, found.numbers).sum()
    if not found.declared:
        # One threshold of the calibration may be one held-out error.
        assert (structures, measured) == (0, 0)
    assert (structures > 0) == ("told" in kind)
    for told in ("JANE", "jane", "MRN-77", "assay_of", str(room)):
        assert told not in found.texts
    assert medeor.load(made[kind]).predict("CCCCCCCO").height == 1


def test_neighbours_are_the_training_values(compounds: tuple[Path, np.ndarray, dict[str, Path]]) -> None:
    """The test above can see values where they are."""
    _, values, made = compounds
    for kind in ("neighbours", "told", "with-neighbours"):
        assert np.isin(values, opened(made[kind]).numbers).mean() > 0.5


@pytest.mark.parametrize("kind", ["neighbours", "told", "adapted"])
@pytest.mark.parametrize("claim", [False, None, "yes", 1])
def test_a_manifest_that_hides_training_values_is_refused(
    kind: str, claim: object, compounds: tuple[Path, np.ndarray, dict[str, Path]], tmp_path: Path
) -> None:
    with zipfile.ZipFile(compounds[2][kind]) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(entries["manifest.json"])
    manifest["training cases inside"] = claim
    with zipfile.ZipFile(tmp_path / "lie.medeor", "w") as archive:
        for name, content in {**entries, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    with pytest.raises(UserError, match="training cases are inside"):
        medeor.load(tmp_path / "lie.medeor")


@pytest.mark.parametrize("parts", [["network"], ["network", "trees"], ["trees"]])
def test_images_leave_nothing_in_a_bundle(parts: list[str], tiny_hospital: Path, tmp_path: Path) -> None:
    room = tmp_path / "SMITH_JANE"
    folder = tiny.plan_at(room / "r", parts=parts, **{"trees.rounds": 3})
    said = tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", folder, "--quiet")
    assert said.code == 0, said.err
    cases = pl.read_parquet(folder / "cases.parquet")
    found = opened(folder / "r.medeor")
    assert not found.declared
    for told in ("JANE", str(tiny_hospital), "labels.csv", *cases["case_id"], *cases["group"].cast(pl.String)):
        assert f'"{told}"' not in found.texts
        assert len(told) < 6 or told not in found.texts


def test_a_graph_is_declared_and_so_is_its_baseline(tmp_path: Path) -> None:
    import shutil

    room = tmp_path / "SMITH_JANE"
    wheel.write(room / "wheel")
    settings = ("embedding.dimension=8", "schedule.epochs=1")
    bundle = trained(room, "graph", room / "wheel", "--task", "graph-completion", settings=settings)
    folder = bundle.parent
    shutil.copytree(folder, room / "base")
    shutil.rmtree(room / "base" / "model")
    shutil.move(room / "base" / "baseline", room / "base" / "model")
    write_bundle(room / "base", room / "base.medeor")
    for path in (bundle, room / "base.medeor"):
        found = opened(path)
        assert found.declared
        assert "JANE" not in found.texts


def test_no_path_of_a_study_goes_along(compounds: tuple[Path, np.ndarray, dict[str, Path]]) -> None:
    room, _, made = compounds
    assert read_toml(room / "adapted" / "study.toml")["inputs"] == {"base": str(room / "stack")}
    with zipfile.ZipFile(made["adapted"]) as archive:
        study = archive.read("study.toml").decode()
    assert "inputs" not in study
    assert "sources" not in study
    assert 'target = [\n    "potency",\n]' in study
