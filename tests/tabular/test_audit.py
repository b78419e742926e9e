"""The audit of a plain table finds what was planted, and nothing in clean rows."""

import numpy as np
import polars as pl

from medeor.contracts import Cases, Finding, Sources, Split, Study
from medeor.statistics.split import split_cases
from medeor.tabular.audit import audit_table, clean
from medeor.tabular.read import read_cases
from medeor.targets.outcomes import strata


def table(n: int = 200) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "age": generator.normal(60, 10, n).round(2),
            "weight": generator.normal(70, 15, n).round(2),
            "sex": generator.choice(["F", "M"], n),
            "sick": generator.choice(["no", "yes"], n),
        }
    )


def audited(rows: pl.DataFrame, **study: object) -> tuple[Cases, Split, dict[str, Finding]]:
    question = Study(target=("sick",), **study)  # type: ignore[arg-type]
    cases = read_cases(Sources((rows,), {}), question)
    split = split_cases(cases.usable, question, strata(cases.usable))
    return cases, split, {finding.check: finding for finding in audit_table(cases, split)}


def test_clean_rows_pass_every_check() -> None:
    _, _, found = audited(table())
    assert {finding.status for finding in found.values()} == {"pass"}


def test_the_outcome_under_another_name_stops_the_study_and_is_named() -> None:
    rows = table()
    code = rows["sick"].replace_strict({"no": 3.2, "yes": 7.9})
    found = audited(rows.with_columns(icd=code, again=rows["sick"]))[2]["outcome-in-a-column"]
    assert found.stops
    assert "'icd', 'again'" in str(found.message)
    assert "--option drop='icd|again'" in str(found.message)


def test_headings_that_speak_of_what_comes_later_are_shortcuts() -> None:
    found = audited(table().with_columns(pl.col("age").shuffle(0).alias("discharge status")))[2]
    assert found["recorded-after-the-outcome"].status == "fail"
    assert found["recorded-after-the-outcome"].kind == "shortcut"
    assert "'discharge status'" in str(found["recorded-after-the-outcome"].message)


def test_a_time_until_the_event_is_proposed_and_not_assumed() -> None:
    cases, _, found = audited(table().with_columns(pl.col("age").abs().alias("d.time")))
    assert cases.targets[0].kind == "binary"
    assert str(found["recorded-after-the-outcome"].message).endswith("it can be learned: --option follow_up=d.time")


def test_rows_of_one_patient_are_found_where_no_group_is_named() -> None:
    rows = table().with_columns(patient_id=pl.Series([f"p{i // 2}" for i in range(200)]))
    _, split, found = audited(rows)
    assert found["repeated-ids"].stops
    assert "names 100 patients in 200 rows" in str(found["repeated-ids"].message)
    torn = split.table.with_columns(patient=pl.Series([i // 2 for i in range(200)]))
    torn = torn.filter(pl.col("part").n_unique().over("patient") > 1)
    assert set(found["repeated-ids"].cases) == set(torn["case_id"])
    assert audited(rows, group="patient_id")[2]["repeated-ids"].status == "pass"


def test_columns_that_no_model_is_given_are_named_with_the_reason() -> None:
    notes = pl.Series([f"came for the {i}th time with pain" for i in range(200)])
    found = audited(table().with_columns(note=notes, ward=pl.lit("A"), row=pl.int_range(200)))[2]["columns-not-used"]
    assert found.status == "fail"
    assert "'note' (it is free text)" in str(found.message)
    assert "'ward' (it has the same value in every row)" in str(found.message)
    assert "'row' (it numbers the rows)" in str(found.message)
    assert audited(table().with_columns(ward=pl.lit("A")))[2]["columns-not-used"].status == "pass"


def test_cells_that_are_read_as_missing_are_counted() -> None:
    lab = pl.Series(["12 mg/L", "3 mol", "see note", *[f"{i} mg/L" for i in range(197)]])
    coded = pl.Series([-999.0, *np.linspace(3, 9, 199)])
    found = audited(table().with_columns(lab=lab, coded=coded), split="cv")[2]
    assert str(found["unread-cells"].message).endswith("'lab': 1")
    assert str(found["mixed-units"].message).endswith("'lab': mol besides mg/L")
    assert "'coded': -999" in str(found["number-codes"].message)


def test_the_same_row_twice_is_found_within_and_across_parts_and_one_stays() -> None:
    rows = table()
    rows = pl.concat([rows, rows.head(40)])
    cases, split, found = audited(rows)
    part = dict(split.table.select("case_id", "part").iter_rows())
    across = {one for one in cases.ids[:40] if part[one] != part[f"{one}-2"]}
    assert across
    assert {one.removesuffix("-2") for one in found["duplicates-across-parts"].cases} == across
    assert found["duplicates-across-parts"].stops
    kept = clean(cases, list(found.values()), split).filter(pl.col("removed").is_null())
    assert kept.height == 200
    for one in across:
        (left,) = [case for case in (one, f"{one}-2") if case in set(kept["case_id"])]
        assert part[left] == "test"


def test_equal_rows_with_different_labels_are_found_and_all_go() -> None:
    rows = table()
    other = rows.head(3).with_columns(sick=pl.Series([{"no": "yes", "yes": "no"}[text] for text in rows["sick"][:3]]))
    cases, split, found = audited(pl.concat([rows, other]))
    assert len(found["conflicting-labels"].cases) == 6
    removed = clean(cases, list(found.values()), split).filter(pl.col("removed").str.contains("another label"))
    assert set(removed["case_id"]) == set(found["conflicting-labels"].cases)


def test_rows_that_are_equal_by_chance_are_no_copies() -> None:
    rows = table().select("sex", "sick")
    found = audited(rows)[2]
    assert found["duplicates-across-parts"].status == "pass"
    assert "as chance explains" in str(found["duplicates-across-parts"].message)
