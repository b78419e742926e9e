"""Every planted fault is found, and names its cases; what is sound passes."""

from pathlib import Path

import polars as pl
import pytest

from medeor.contracts import Cases, Finding, Sources, Split, Study
from medeor.molecules import audit as room
from medeor.molecules.audit import audit_molecules, clean
from medeor.molecules.read.cases import read_cases
from medeor.statistics.split import split_cases
from medeor.trust.audit import audit

GOOD = [f"{'C' * n}{core}" for n in range(1, 9) for core in ("c1ccncc1", "C(=O)Nc1ccco1", "S(=O)(=O)N1CCOCC1")]


def audited(table: pl.DataFrame, parts: list[str] | None = None, **asked: object) -> tuple[dict[str, Finding], Cases]:
    cases = read_cases(Sources((table,), {}), Study(**asked))  # type: ignore[arg-type]
    parts = parts or ["train"] * len(cases)
    split = Split(cases.table.select("case_id", part=pl.Series(parts), fold=pl.lit(0)))
    return {finding.check: finding for finding in (*cases.findings, *audit_molecules(cases, split))}, cases


def with_rows(*rows: tuple[str | None, float]) -> pl.DataFrame:
    """Sound compounds, then these."""
    values = [0.1 * number for number in range(len(GOOD))]
    return pl.DataFrame(
        {"smiles": [*GOOD, *(row[0] for row in rows)], "y": [*values, *(row[1] for row in rows)]}, strict=False
    )


def ids(cases: Cases, *rows: int) -> set[str]:
    return {cases.ids[row] for row in rows}


def test_a_sound_table_passes() -> None:
    found, _ = audited(with_rows())
    assert {check for check, finding in found.items() if finding.status == "fail"} == set()
    assert "24 rows, 24 different compounds; SMILES in column 'smiles'" in str(found["as-read"].message)


def test_rows_that_are_no_molecule_are_listed_with_row_and_reason() -> None:
    found, cases = audited(with_rows(("CN(C)(C)(C)C", 1.0), (None, 1.0)))
    finding = found["unreadable-molecules"]
    assert finding.status == "fail"
    assert set(finding.cases) == ids(cases, 24, 25)
    assert "2 of 26 rows" in str(finding.message)
    assert "row 26 of the table (no such molecule can exist" in str(finding.message)
    assert "row 27 of the table (there is no structure)" in str(finding.message)


def test_repeats_that_agree_and_repeats_that_contradict_each_other() -> None:
    found, cases = audited(with_rows((GOOD[3], 0.3), ("OCC", 9.0), ("C(C)[O-].[Na+]", 0.0)))
    assert set(found["duplicates-within-parts"].cases) == ids(cases, 3, 24, 25, 26)
    assert set(found["conflicting-labels"].cases) == ids(cases, 25, 26)
    assert "1 of 2 compounds with several rows has contradictory values" in str(found["conflicting-labels"].message)


def measured(*rows: tuple[str, str]) -> pl.DataFrame:
    """Sound compounds of half-maximal inhibition in nM, which is learnt by its logarithm, then these."""
    values = [str(10.0 * 1.4**number) for number in range(len(GOOD))]
    return pl.DataFrame({"smiles": [*GOOD, *(row[0] for row in rows)], "IC50_nM": [*values, *(row[1] for row in rows)]})


@pytest.mark.parametrize(
    ("one", "other", "contradict"),
    [
        ("1.0", "900", True),
        ("1.0", "2.9", False),
        ("1000", "3100", True),
        ("20000", ">30", False),
        ("12", ">30000", True),
        ("12", ">30", False),  # Within three-fold.
        ("12", "<30", False),
        (">300", "<50", True),
        (">50", "<300", False),
    ],
)
def test_measurements_contradict_where_no_number_satisfies_both(one: str, other: str, contradict: bool) -> None:
    found, cases = audited(measured(("CCO", one), ("OCC", other)), target=("IC50_nM",))
    assert cases.targets[0].scale == "log"
    assert set(found["conflicting-labels"].cases) == (ids(cases, 24, 25) if contradict else set())


def test_contradictory_classes() -> None:
    table = pl.DataFrame({"smiles": ["CCO", "OCC", "CCN", "NCC", "CCC"], "y": [0, 1, 1, 1, 0]})
    found, cases = audited(table)
    assert set(found["conflicting-labels"].cases) == ids(cases, 0, 1)


def test_a_compound_in_two_parts_is_leakage_also_as_its_mirror_image() -> None:
    parts = ["train"] * 24 + ["train", "test"]
    found, cases = audited(with_rows(("C[C@H](N)C(=O)O", 1.0), ("C[C@@H](N)C(=O)O", 1.0)), parts)
    finding = found["duplicates-across-parts"]
    assert finding.stops
    assert set(finding.cases) == ids(cases, 24, 25)
    assert "(0 with the same stereochemistry)" in str(finding.message)


def test_near_copies_across_parts_and_activity_cliffs() -> None:
    """A long chain with one atom more has all circular substructures of the first."""
    one, other = "O=C(O)c1ccc(cc1)" + "C" * 24 + "N", "O=C(O)c1ccc(cc1)" + "C" * 25 + "N"
    table = with_rows((one, 0.0), (other, 9.0))
    found, cases = audited(table)
    assert found["near-duplicates-across-parts"].status == "unknown"
    cliff = found["activity-cliffs"]
    assert (cliff.status, set(cliff.cases)) == ("fail", ids(cases, 24, 25))
    found, cases = audited(table, ["train"] * 25 + ["test"])
    near = found["near-duplicates-across-parts"]
    assert (near.status, set(near.cases)) == ("fail", ids(cases, 25))
    assert found["activity-cliffs"].status == "pass"


@pytest.mark.parametrize(("other", "cliffs"), [("60", 1), ("9", 0), (">60", 1), (">9", 0), ("<60", 0)])
def test_a_cliff_of_a_log_scale_is_ten_fold_and_beyond_doubt(other: str, cliffs: int) -> None:
    near = [("O=C(O)c1ccc(cc1)" + "C" * length + "N", value) for length, value in ((24, "1"), (25, other))]
    limit = ("CCO", ">99999")
    found, _ = audited(measured(*near, limit), target=("IC50_nM",))
    assert str(found["activity-cliffs"].message).startswith(f"{cliffs} of ")


def test_rows_that_are_not_compared_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The near copies stand in the last two rows."""
    chains = [("O=C(O)c1ccc(cc1)" + "C" * length + "N", 9.0 * (length - 24)) for length in (24, 25)]
    table, parts = with_rows(*chains), ["train"] * 20 + ["test"] * 4 + ["train"] * 2
    checks = ("near-duplicates-across-parts", "activity-cliffs")
    every = audited(table, parts)[0]
    assert all("rows were compared" not in str(every[check].message) for check in checks)
    assert str(every["activity-cliffs"].message).startswith("1 of ")
    monkeypatch.setattr(room, "COMPARED", len(GOOD))
    some = audited(table, parts)[0]
    told = "only the first 24 rows were compared, 2 were not"
    assert all(str(some[check].message).endswith(told) for check in checks)
    assert str(some["activity-cliffs"].message).startswith("0 of ")


def test_mixtures_metals_and_large_molecules_are_named() -> None:
    rows = (GOOD[0] + "." + GOOD[4], 1.0), ("N[Pt](N)(Cl)Cl", 1.0), ("NCC(=O)" * 60 + "O", 1.0)
    found, cases = audited(with_rows(*rows))
    for check, row in (("mixtures", 24), ("metal-complexes", 25), ("large-molecules", 26)):
        assert found[check].status == "fail"
        assert set(found[check].cases) == ids(cases, row)
    assert "largest part of a mixture kept (1 row)" in str(found["standardised"].message)


def test_a_column_in_another_unit_is_explained() -> None:
    table = pl.DataFrame({"smiles": GOOD, "pIC50": [10.0 * 1.5**number for number in range(24)]})
    found, _ = audited(table)
    assert found["units"].status == "fail"
    assert "they look like concentrations in nM: take 9 - log10" in str(found["units"].message)
    table = table.with_columns(pIC50=pl.Series([4.0 + 0.1 * number for number in range(23)] + [7000.0]))
    found, cases = audited(table)
    assert found["units"].status == "pass"
    assert set(found["implausible-values"].cases) == ids(cases, 23)


def test_units_that_do_not_belong_together_are_named_and_counted() -> None:
    values = [f"{number + 1} {'mg/L' if number % 3 == 2 else 'nM'}" for number in range(24)]
    finding = audited(pl.DataFrame({"smiles": GOOD, "potency": values}), target=("potency",))[0]["units"]
    assert finding.status == "fail"
    assert "'potency' is read in nM; mg/L (8 rows) cannot be converted and is left out" in str(finding.message)
    values = [text.replace("mg/L", "uM") for text in values]
    found, _ = audited(pl.DataFrame({"smiles": GOOD, "potency": values}), target=("potency",))
    assert found["units"].status == "pass"
    assert "'potency' converted into nM from uM (8 rows)" in str(found["as-read"].message)
    finding = audited(pl.DataFrame({"smiles": GOOD, "potency": [*values[:23], "7"]}), target=("potency",))[0]["units"]
    assert (finding.status, "1 value of 'potency' has no unit" in str(finding.message)) == ("fail", True)


def test_limits_unread_values_and_constant_targets_are_told() -> None:
    values = [str(number) for number in range(21)] + [">50", "<0.1", "lost"]
    table = pl.DataFrame({"smiles": GOOD, "y": values, "same": [1] * 24})
    found, cases = audited(table, target=("y", "same"))
    assert "'y' (1 lower and 1 upper limits among 23 values)" in str(found["censored-values"].message)
    assert set(found["unread-values"].cases) == ids(cases, 23)
    assert str(found["constant-targets"].message).endswith("left out: same")


def test_cleaning_keeps_one_of_each_compound_and_none_that_is_disputed() -> None:
    rows = ("CN(C)(C)(C)C", 1.0), (GOOD[3], 0.3), ("CCO", 9.0), ("OCC", 0.0)
    table = with_rows(*rows)
    cases = read_cases(Sources((table,), {}), Study())
    split = Split(
        cases.usable.table.select("case_id", part=pl.Series(["train"] * 24 + ["test"] * 3), fold=pl.lit(0, pl.Int32))
    )
    removed = clean(cases, audit_molecules(cases, split), split)
    reasons = removed["removed"].to_list()
    assert removed.columns == ["case_id", "y", "smiles", "group", "removed"]
    assert [row for row, why in enumerate(reasons) if why] == [3, 24, 26, 27]  # the repeat that is tested stays
    assert reasons[3] == "the same compound as another row"
    assert reasons[26] == reasons[27] == "contradictory measurements of one compound"


def test_what_the_rows_of_a_compound_say_stays_together() -> None:
    rows = [
        ("CCO", "2", None, "yes"), ("OCC", "4", "9.0", None), ("C(O)C", ">1", None, "yes"),  # numbers before limits
        ("CCN", ">10", None, None), ("NCC", ">30", "0.1", None), ("C(N)C", "<99", "0.1", None),  # the tightest limit
        ("CCC", "<7", None, "no"), ("C(C)C", None, "5.5", None),
        ("CCF", "3", "1.0", "no"),
    ]  # fmt: skip
    table = pl.DataFrame(rows, schema=["smiles", "IC50_nM", "y", "toxic"], orient="row")
    table = table.with_columns(pl.col("y").cast(pl.Float64))
    study = Study(target=("IC50_nM", "y", "toxic"))
    cases = read_cases(Sources((table,), {}), study)
    split = Split(cases.table.select("case_id", part=pl.lit("train"), fold=pl.lit(0)))
    findings = audit_molecules(cases, split)
    assert not next(finding.cases for finding in findings if finding.check == "conflicting-labels")
    left = clean(cases, findings, split).filter(pl.col("removed").is_null())
    told = left.select("smiles", "IC50_nM", "IC50_nM.limit", "y", "toxic").rows()
    assert told == [
        ("CCO", pytest.approx(8**0.5), 0, 9.0, 1),  # the geometric mean of 2 and 4
        ("CCN", 30.0, 1, 0.1, None),
        ("CCC", 7.0, -1, 5.5, 0),
        ("CCF", 3.0, 0, 1.0, 0),
    ]


@pytest.mark.data
def test_what_is_known_of_bbbp_is_found(real_data: Path) -> None:
    path = real_data / "molecules/moleculenet/BBBP.csv"
    cases = read_cases(Sources((path,), {}), Study(target=("p_np",)))
    split = Split(cases.usable.table.select("case_id", part=pl.lit("train"), fold=pl.lit(0)))
    found = {finding.check: finding for finding in audit_molecules(cases, split)}
    assert len(found["unreadable-molecules"].cases) == 11
    rows = set(found["conflicting-labels"].cases)
    disputed = cases.table.filter(pl.col("case_id").is_in(list(rows))).group_by("smiles").agg(pl.col("p_np").n_unique())
    assert (disputed["p_np"] == 2).all()
    agreeing = cases.usable.table.filter(~pl.col("case_id").is_in(list(rows)))
    assert (agreeing.group_by("smiles").agg(pl.col("p_np").n_unique())["p_np"] == 1).all()


def test_columns_of_relations_and_units_are_no_shortcuts_and_their_limits_are_told() -> None:
    smiles = [f"{'C' * n}{core}" for n in range(1, 21) for core in ("c1ccncc1", "C(=O)Nc1ccco1", "C1CCOCC1", "N")]
    table = pl.DataFrame(
        {
            "smiles": smiles,
            "standard_value": [1.5 + number * (1000 if number % 2 else 1) for number in range(80)],
            "standard_relation": ["'>'", "'='", "'='", "'='"] * 20,
            "standard_units": ["nM", "uM"] * 40,
        }
    )
    study = Study(target=("standard_value",))
    cases = read_cases(Sources((table,), {}), study)
    split = split_cases(cases, study)
    assert [one.check for one in audit(cases, split) if one.check.startswith("shortcut/")] == []
    told = {finding.check: finding for finding in audit_molecules(cases, split)}
    assert "'standard_value' (20 lower and 0 upper limits among 80 values)" in str(told["censored-values"].message)


def test_neither_limits_nor_the_split_itself_count_as_shortcuts() -> None:
    smiles = [f"{'C' * n}{core}" for n in range(1, 21) for core in ("c1ccncc1", "C(=O)Nc1ccco1", "C1CCOCC1", "N")]
    values = [f"{'>' if number % 4 == 3 else ''}{number % 4 + 0.01 * number}" for number in range(80)]
    study = Study(target=("y",), split="scaffold-deepchem")
    cases = read_cases(Sources((pl.DataFrame({"smiles": smiles, "y": values, "batch": [0, 1, 2, 3] * 20}),), {}), study)
    assert "y.limit" in cases.table.columns
    checks = [finding.check for finding in audit(cases, split_cases(cases, study), by=study.split)]
    assert [check for check in checks if check.startswith("shortcut/")] == ["shortcut/batch"]
