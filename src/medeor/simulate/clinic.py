"""A simulated clinic: a plain table of patients whose risk is known because it was made."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl


class Clinic(NamedTuple):
    """Patients, one a row, and what only a simulator knows of them."""

    table: pl.DataFrame
    """`patient_id, age, sex, ward, admitted, creatinine (with its unit), crp, readmitted`; a tenth of the creatinine
    and a fifth of the CRP values are unknown."""
    risk: np.ndarray
    """The probability with which each was readmitted, shape (n,)."""


def clinic(n_patients: int, *, seed: int) -> Clinic:
    """Makes a clinic of `n_patients`, the same for the same arguments. The log-odds of being readmitted rise by .5 a
    decade of age and by 1 for each doubling of creatinine above 1 mg/dL; CRP counts in surgery alone."""
    rng = np.random.default_rng([seed, 0])
    age = rng.normal(62, 14, n_patients).clip(18, 99).round()
    ward = rng.choice(["internal medicine", "surgery", "cardiology"], n_patients, p=[0.5, 0.3, 0.2])
    creatinine = np.exp(rng.normal(0.05, 0.4, n_patients)).round(2)
    crp = np.exp(rng.normal(2.5, 1.0, n_patients)).round(1)
    odds = -1.2 + 0.05 * (age - 62) + np.log2(np.maximum(creatinine, 1.0))
    odds += np.where(ward == "surgery", 0.8 * (np.log(crp) - 2.5), 0.0)
    risk = 1 / (1 + np.exp(-odds))
    known = rng.random(n_patients)
    days = rng.integers(0, 730, n_patients)
    table = pl.DataFrame(
        {
            "patient_id": [f"P{number:05d}" for number in rng.permutation(n_patients)],
            "age": age.astype(int),
            "sex": rng.choice(["F", "M"], n_patients),
            "ward": ward,
            "admitted": [dt.date(2023, 1, 1) + dt.timedelta(int(day)) for day in days],
            "creatinine": [None if k < 0.1 else f"{c:.2f} mg/dL" for k, c in zip(known, creatinine)],
            "crp": [None if k > 0.8 else float(c) for k, c in zip(known, crp)],
            "readmitted": np.where(rng.random(n_patients) < risk, "yes", "no"),
        }
    )
    return Clinic(table, risk)
