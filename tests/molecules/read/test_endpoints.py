"""The table of endpoints is whole, finds what it describes, and explains a column in another unit."""

import numpy as np
import pytest

from medeor.molecules.read.endpoints import endpoints, find_endpoint, wrong_unit

RANDOM = np.random.default_rng(0)


def test_every_entry_is_complete_and_no_name_means_two_things() -> None:
    known = endpoints()
    assert len(known) >= 30
    names = [name for one in known.values() for name in one.names]
    assert len(names) == len(set(names))
    for one in known.values():
        assert str(one.title) != one.title.key
        assert one.better in ("", "higher", "lower")
        if one.kind == "continuous":
            assert one.unit
            assert one.low < one.high
            assert one.scale != "log" or one.low > 0


@pytest.mark.parametrize(
    ("column", "file", "name"),
    [
        ("activity", "ADME_HLM_train.csv", "hlm_clearance"),
        ("activity", "ADME_MDR1_ER_train.csv", "mdr1_efflux"),
        ("activity", "ADME_RLM_train.csv", "rlm_clearance"),
        ("activity", "ADME_Sol_train.csv", "solubility_ph68"),
        ("activity", "ADME_hPPB_train.csv", "human_unbound"),
        ("activity", "ADME_rPPB_test.csv", "rat_unbound"),
        ("LOG HLM_CLint (mL/min/kg)", "", "hlm_clearance"),
        ("measured log solubility in mols per litre", "", "aqueous_solubility"),
        ("p_np", "BBBP.csv", "bbb_penetration"),
        ("exp", "Lipophilicity.csv", "lipophilicity"),
        ("expt", "FreeSolv_SAMPL.csv", "hydration_free_energy"),
        ("IC50 (nM)", "", "ic50_nm"),
        ("IC50 (µM)", "", "ic50_um"),
        ("Half_Life_Obach", "", "half_life"),
    ],
)
def test_an_endpoint_is_known_by_its_column_or_its_file(column: str, file: str, name: str) -> None:
    found = find_endpoint(column, file)
    assert found is not None
    assert found.name == name


def test_what_is_not_known_is_not_guessed() -> None:
    assert find_endpoint("activity", "assay_17.csv") is None
    assert find_endpoint("weight", "ADME_HLM_train.csv") is None


@pytest.mark.parametrize(
    ("endpoint", "values", "said"),
    [
        ("pic50", 10 ** RANDOM.uniform(0.5, 4.5, 200), "concentrations in nM: take 9 - log10"),
        ("hlm_clearance", 10 ** RANDOM.uniform(0.7, 3.0, 200), "no logarithm was taken: take log10"),
        ("volume_of_distribution", 10 ** RANDOM.uniform(3.1, 5.5, 200), "1000 times too large: divide by 1000"),
        ("human_unbound", 10 ** RANDOM.uniform(0.4, 2, 200), "no logarithm was taken"),
        ("half_life", RANDOM.uniform(-1.6, -0.1, 200), "logarithms: take 10 to their power"),
        ("plasma_binding", RANDOM.uniform(-90, -10, 200), "check its unit"),
    ],
)
def test_another_unit_is_explained(endpoint: str, values: np.ndarray, said: str) -> None:
    assert said in str(wrong_unit(values, endpoints()[endpoint]))


def test_a_column_in_its_unit_is_left_alone_and_so_is_a_handful() -> None:
    pic50 = endpoints()["pic50"]
    assert wrong_unit(np.array([4.5, 6.0, 7.2, 8.8, 5.1, 300.0]), pic50) is None
    assert wrong_unit(np.array([500.0, 20.0]), pic50) is None
