"""The model card: what it must tell, what it must not, and that its tables are tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medeor.contracts import Finding, Measure
from medeor.figures import Intervals, Lines, Matrix, Series, Table
from medeor.report.card import ROWS, Code, Fact, card
from medeor.report.page import Headline, Report, Section

REPORT = Report(
    title="Malignancy",
    subtitle="780 images",
    task="image-classification",
    verdict="The network does not beat the simple baseline.",
    headlines=(
        Headline("AUROC", Measure(0.941, 0.902, 0.973, 312), "test part", Measure(0.95, 0.91, 0.98)),
        Headline("Brier", Measure(0.08)),
    ),
    sections=(
        Section(
            "Subgroups",
            "By site.",
            (Intervals("AUROC by site", "AUROC", (("A", 0.9, 0.8, 0.95), ("B", 0.7, None, None))),),
        ),
        Section("Pictures", "See these.", (Lines("ROC", "x", "y", (Series("a", (0.0, 1.0), (0.0, 1.0)),)),)),
        Section(
            "Confusion",
            "",
            (Matrix("Confusion", ("no", "yes"), ("no", "yes"), ((9, 1), (2, 8)), "Truth", "Prediction"),),
        ),
        Section(
            "Audit",
            findings=(
                Finding("duplicates", "leakage", "fail", "8 images.", ("patient-7", "patient-8"), accepted=True),
                Finding("groups", "leakage", "pass", "None.", ("patient-9",)),
            ),
        ),
    ),
    provenance={"Seed": "0"},
)
FACTS: dict[str, Fact] = {
    "usage": Code("medeor predict x.medeor image.png\nmedeor --help"),
    "limits": ["One hospital."],
    "purpose": "To rank images.",
    "data": {"Source": "BreastMNIST", "Images": 780},
    "split": "Official.",
    "known_risks": "Drift.",
}


def test_the_card_tells_its_parts_in_order() -> None:
    titles = [line[3:] for line in card(REPORT, FACTS).splitlines() if line.startswith("## ")]
    assert titles == [
        "What it is for", "Data", "Split", "Results", "Subgroups", "Confusion", "Audit", "Limits", "How to use",
        "Known risks", "Provenance",
    ]  # fmt: skip


def test_results_stand_with_interval_baseline_and_number() -> None:
    text = card(REPORT, {})
    assert "| AUROC | .941 (.902–.973) | .950 (.910–.980) | 312 | test part |" in text
    assert "| Brier | .0800 | – | – |  |" in text
    assert "| A | .900 (.800–.950) |" in text
    assert "| B | .700 |" in text
    assert "| Truth / Prediction | no | yes |" in text
    assert "| yes | 2 | 8 |" in text
    assert "**The network does not beat the simple baseline.**" in text


def test_findings_are_told_with_their_acceptance_and_without_naming_a_case() -> None:
    text = card(REPORT, FACTS)
    assert "| duplicates | Fail, accepted | 8 images. | 2 cases |" in text
    assert "2 checks: 1 failed (1 accepted), 0 unknown, 1 passed." in text
    assert "patient-" not in text


def test_code_and_lists_of_the_facts_keep_their_form() -> None:
    text = card(REPORT, FACTS)
    assert "\n\n    medeor predict x.medeor image.png\n    medeor --help\n\n" in text
    assert "- One hospital." in text
    assert "- Images: 780" in text


def test_simulated_data_is_called_simulated_and_other_data_is_not() -> None:
    assert "Simulated data" in card(replace(REPORT, simulated=True), {})
    assert "imulated" not in card(REPORT, FACTS)


def test_text_can_break_neither_a_table_nor_start_html() -> None:
    nasty = "a|b\n| c | <script>alert(1)</script> [x](y) `z`"
    report = replace(
        REPORT, sections=(Section(nasty, figures=(Table(nasty, (nasty, "n"), ((nasty, 1),)),)),), title=nasty
    )
    text = card(report, {"limits": [nasty], nasty: {nasty: nasty}})
    assert "<script" not in text
    rows = [line for line in text.splitlines() if line.startswith("|") and "script" in line]
    assert len(rows) == 2
    # Two columns make three bars that are not escaped.
    assert all(row.replace("\\|", "").count("|") == 3 for row in rows)


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=alert(1)>",
        "![x](https://evil.example/pixel.png)",
        "https://evil.example",
        "www.evil.example",
        "# heading",
        "- item",
        "1. item",
        "---",
        "a\n\n# heading",
        "```\n<script>",
        "$\\href{javascript:alert(1)}{x}$",
        "\u202eevil",
    ],
)
def test_a_hostile_name_stays_text_wherever_it_stands(name: str) -> None:
    """Of a column, a class or a folder: in paragraphs, lists, tables and code."""
    text = card(replace(REPORT, verdict=name), {"purpose": name, "limits": [name], "usage": Code(f"predict {name}")})
    shown = [line for line in text.splitlines() if not line.startswith("    ")]
    for mark in ("<", "](", "://", "www.", "\u202e"):
        assert not any(mark in line.replace("\\[", "[").replace("\\]", "") for line in shown if line), mark
    titles = ("Results", "Subgroups", "Confusion", "Audit", "What it is for", "Limits", "How to use", "Provenance")
    assert {line for line in shown if line.startswith("#")} == {"# Malignancy", *(f"## {title}" for title in titles)}
    assert not any(line.startswith(("- item", "1. item", "---", "```")) for line in shown)


def test_a_long_table_stays_in_the_report() -> None:
    def with_rows(count: int) -> str:
        return card(replace(REPORT, sections=(Section("S", "", (Table("Long", ("i",), ((1,),) * count),)),)), {})

    assert "Long" in with_rows(ROWS)
    assert "Long" not in with_rows(ROWS + 1)
