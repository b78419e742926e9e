"""The simulated clinic: the same for the same seed, and as risky as it says."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medeor.formats.values.columns import as_numbers, meaning
from medeor.simulate import clinic


def test_the_same_seed_makes_the_same_clinic() -> None:
    one, again, other = clinic(50, seed=1), clinic(50, seed=1), clinic(50, seed=2)
    assert one.table.equals(again.table)
    assert not one.table.equals(other.table)


def test_as_many_are_readmitted_as_the_risks_say_and_no_model_can_tell_better() -> None:
    made = clinic(1200, seed=0)
    readmitted = made.table["readmitted"] == "yes"
    error = np.sqrt((made.risk * (1 - made.risk)).sum())
    assert readmitted.sum() == pytest.approx(made.risk.sum(), abs=3 * error)
    # As docs/how-to/tables.md says.
    assert roc_auc_score(readmitted, made.risk) == pytest.approx(0.69, abs=0.005)


def test_risk_rises_by_what_it_says() -> None:
    made = clinic(3000, seed=0)
    odds = np.log(made.risk / (1 - made.risk))
    plain = (made.table["ward"] != "surgery").to_numpy() & made.table["creatinine"].is_not_null().to_numpy()
    creatinine = as_numbers(made.table["creatinine"]).values.to_numpy()
    age = made.table["age"].to_numpy()
    expected = -1.2 + 0.05 * (age - 62) + np.log2(np.maximum(creatinine, 1.0))
    np.testing.assert_allclose(odds[plain], expected[plain], atol=1e-6)


def test_its_columns_are_of_every_kind() -> None:
    table = clinic(200, seed=0).table
    kinds = {name: meaning(table[name]).kind for name in table.columns}
    assert kinds == {
        "patient_id": None, "age": "number", "sex": "category", "ward": "category", "admitted": "date",
        "creatinine": "number", "crp": "number", "readmitted": "category",
    }  # fmt: skip
