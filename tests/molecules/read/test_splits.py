"""Units stay whole, conventions are kept to the letter, and the order of rows does not matter where a seed draws."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator
from rdkit.Chem.Scaffolds import MurckoScaffold

from medeor.contracts import Sources, Study
from medeor.molecules.read.cases import read_cases
from medeor.molecules.read.splits import ALIKE, balanced, clusters, largest_first, scaffolds, units
from medeor.statistics.split import split_cases


def test_a_scaffold_is_rings_and_what_links_them() -> None:
    """Diazepam, ibuprofen, aspirin; and a chain, which has none (Bemis and Murcko 1996)."""
    smiles = ["CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc21", "CC(C)Cc1ccc(cc1)C(C)C(=O)O", "CC(=O)Oc1ccccc1C(=O)O", "CCCCO"]
    found = scaffolds(smiles)
    assert found[0] == Chem.CanonSmiles("O=C1CN=C(c2ccccc2)c2ccccc2N1")
    assert found[1:] == ["c1ccccc1", "c1ccccc1", ""]
    assert units(pl.Series(smiles), "scaffold").to_list() == [*found[:3], "CCCCO"]
    assert units(pl.Series(smiles), "scaffold-deepchem").to_list() == [*found[:3], "no ring"]


def test_largest_first_is_deepchems_rule_by_hand() -> None:
    """20 rows: families of 10, 5, 3, 1, 1. Train holds 16: 10 and 5, not 3. Validation holds what keeps both at 18:
    3. Then the single ones: the later begins first, and fills train to 16; the last would make 17 of 16, and train
    and validation 20 of 18, so it is tested."""
    rows = pl.Series(["a"] * 10 + ["b"] * 5 + ["c"] * 3 + ["d", "e"])
    part = dict(zip(rows, largest_first(rows)))
    assert part == {"a": "train", "b": "train", "c": "validation", "e": "train", "d": "test"}


def _deepchem(families: list[str]) -> list[str]:
    """DeepChem's ScaffoldSplitter.split, as published, line by line."""
    sets: dict[str, list[int]] = {}
    for row, family in enumerate(families):
        sets.setdefault(family, []).append(row)
    ordered = [rows for _, rows in sorted(sets.items(), key=lambda x: (len(x[1]), x[1][0]), reverse=True)]
    train_cutoff, valid_cutoff = 0.8 * len(families), (0.8 + 0.1) * len(families)
    train: list[int] = []
    valid: list[int] = []
    test: list[int] = []
    for rows in ordered:
        if len(train) + len(rows) > train_cutoff:
            if len(train) + len(valid) + len(rows) > valid_cutoff:
                test += rows
            else:
                valid += rows
        else:
            train += rows
    return ["train" if r in train else "validation" if r in valid else "test" for r in range(len(families))]


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=60))
def test_largest_first_is_deepchems_rule_for_any_families(families: list[str]) -> None:
    assert largest_first(pl.Series(families)).to_list() == _deepchem(families)


@given(st.lists(st.integers(0, 30), min_size=10, max_size=120), st.integers(0, 5), st.randoms(use_true_random=False))
def test_balanced_keeps_units_whole_whatever_the_order_of_rows(families: list[int], seed: int, random) -> None:
    rows = pl.Series([f"u{number}" for number in families])
    part = balanced(rows, 0.2, seed)
    by_unit = pl.DataFrame({"unit": rows, "part": part}).unique()
    assert by_unit["unit"].is_unique().all()
    assert (part == "test").sum() <= max(1, 0.2 * len(rows))
    order = list(range(len(rows)))
    random.shuffle(order)
    assert balanced(rows[order], 0.2, seed).to_list() == part[order].to_list()


def test_a_large_family_trains_and_the_seed_draws_the_rest() -> None:
    """Of 100 rows 20 are tested: a family of 11 would be more than half of them, one of 10 is not."""
    rows = pl.Series(["big"] * 11 + ["half"] * 10 + [f"u{number}" for number in range(79)])
    parts = [balanced(rows, 0.2, seed) for seed in range(20)]
    assert all(part[0] == "train" and (part == "test").sum() == 20 for part in parts)
    assert {part[11] for part in parts} == {"train", "test"}
    assert parts[0].to_list() != parts[1].to_list()


@pytest.mark.parametrize("alike", [ALIKE, 0.5, 0.2])
def test_a_cluster_is_of_what_is_most_like_its_centre(alike: float) -> None:
    """Sphere exclusion, one compound after another: who is less alike than that to every centre becomes one."""
    smiles = [f"{'C' * n}c1ccc({group})cc1" for n in range(1, 8) for group in ("O", "N", "C(=O)O", "S(N)(=O)=O")]
    generator = rdFingerprintGenerator.GetMorganGenerator(2, fpSize=2048)
    bits = {text: generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in smiles}
    centres: list[str] = []
    for text in sorted(smiles):
        if all(DataStructs.TanimotoSimilarity(bits[text], bits[centre]) < alike for centre in centres):
            centres.append(text)
    expected = [
        int(np.argmax([DataStructs.TanimotoSimilarity(bits[text], bits[centre]) for centre in centres]))
        for text in smiles
    ]
    assert clusters(smiles, alike).tolist() == expected
    assert 1 < len(centres) < len(smiles)


@pytest.mark.data
@pytest.mark.parametrize("way", ["scaffold", "scaffold-deepchem", "cluster", "random", ""])
def test_the_road_divides_real_compounds_by_what_was_asked(real_data: Path, way: str) -> None:
    study = Study(target=("Class",), split=way, seed=3)
    cases = read_cases(Sources((real_data / "molecules/moleculenet/bace.csv",), {}), study).usable
    split = split_cases(cases, study)
    both = cases.table.join(split.table.select("case_id", placed="part", own="fold"), on="case_id")
    shares = dict(both["placed"].value_counts(normalize=True).iter_rows())
    assert shares["test"] == pytest.approx(0.1 if way == "scaffold-deepchem" else 0.2, abs=0.02)
    assert (both.group_by("group").agg(pl.col("placed").n_unique())["placed"] == 1).all()
    assert (both.group_by("group").agg(pl.col("own").drop_nulls().n_unique())["own"] <= 1).all()
    if way.startswith("scaffold"):
        flat = [MurckoScaffold.MurckoScaffoldSmiles(smiles) for smiles in both["content"]]
        across = pl.DataFrame({"s": flat, "p": both["placed"]}).filter(pl.col("s") != "")
        assert (across.group_by("s").agg(pl.col("p").n_unique())["p"] == 1).all()
