"""The page as a browser meets it: whole, closed to the outside, and deaf to markup in what it is told."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medeor.contracts import Finding, Measure, UserError
from medeor.figures import Drawing, Gallery, Intervals, Lines, Matrix, Picture, Series, Table
from medeor.report.page import LISTED, Headline, Report, Section, render, tally, write

DRAWING = "<svg xmlns='http://www.w3.org/2000/svg'><text>ring</text></svg>"
FIGURES = (
    Lines("ROC", "1 − specificity", "Sensitivity", (Series("model", (0.0, 0.5, 1.0), (0.0, 0.9, 1.0)),), "caption"),
    Intervals("Subgroups", "AUROC", (("site A", 0.9, 0.8, 0.95), ("site B", 0.7, None, None)), "caption", 0.9),
    Matrix("Confusion", ("no", "yes"), ("no", "yes"), ((9, 1), (2, 8)), "Truth", "Prediction", "caption"),
    Table("Numbers", ("metric", "value"), (("auroc", 0.94), ("brier", None)), "caption"),
    Gallery("Cases", (Picture(np.zeros((28, 28), np.uint8), "case 1", np.ones((7, 7)), "bad"),), "caption"),
    Drawing("Ring", DRAWING, "caption"),
)
FINDINGS = (
    Finding("identifiers", "identifiers", "pass", "None was found."),
    Finding("site-balance", "shortcut", "unknown", "Too few cases."),
    Finding("duplicates-across-parts", "leakage", "fail", "8 images.", ("c1", "c2"), accepted=True),
    Finding("near-duplicates", "quality", "fail", "18 images.", tuple(f"case-{i}" for i in range(18))),
)
REPORT = Report(
    title="Malignancy",
    subtitle="乳腺超声",
    task="image-classification",
    verdict="The network does not beat the simple baseline.",
    tone="bad",
    headlines=(Headline("AUROC", Measure(0.941, 0.902, 0.973, 312), "test", Measure(0.95, 0.91, 0.98, 312)),),
    sections=(Section("Results", "One.\n\nTwo.", FIGURES), Section("Audit", findings=FINDINGS, notes=("A note.",))),
    provenance={"seed": "0"},
)
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Every element and text of a page; unbalanced tags are an error."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        return [at for name, at in self.elements if name == tag and attributes.items() <= at.items()]


def assert_closed(html: str) -> None:
    """Nothing on the page runs or points outside."""
    page = Page(html)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "link", "iframe", "object", "embed", "base", "form", "foreignobject", "image"}
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "xlink:href", "action", "data", "poster")
            assert "xmlns" not in name
            assert name != "href" or re.fullmatch(r"#[a-z0-9-]+", value)
            assert all(target.startswith("data:image/png;base64,") for target in re.findall(r"url\(([^)]*)\)", value))


def test_nothing_in_the_file_runs_or_points_outside() -> None:
    html = render(REPORT)
    assert_closed(html)
    assert not re.search(r"https?:|//[a-z]|@import|javascript:", html.replace("/*", ""), re.IGNORECASE)
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@font-face" not in style
    (policy,) = Page(html).all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none';")
    assert "script-src" not in policy["content"]


PAYLOAD = (
    "</title></style></svg>\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;http://example.org\u202e\x00"
)


def poisoned(value: Any) -> Any:
    """The value with every free text in it replaced by markup."""
    if isinstance(value, str):
        return value if value in (DRAWING, "good", "bad", "neutral", "pass", "fail", "unknown") else PAYLOAD
    if isinstance(value, Measure) or not (is_dataclass(value) or isinstance(value, (tuple, dict))):
        return value
    if isinstance(value, tuple):
        return tuple(poisoned(inner) for inner in value)
    if isinstance(value, dict):
        return {poisoned(key): poisoned(inner) for key, inner in value.items()}
    changed = {field.name: poisoned(getattr(value, field.name)) for field in fields(value)}
    return replace(value, **changed)  # type: ignore[type-var]


@pytest.mark.parametrize("simulated", [True, False])
def test_markup_in_any_text_stays_text(simulated: bool) -> None:
    html = render(replace(poisoned(REPORT), simulated=simulated))
    assert_closed(html)
    assert "<script" not in html
    assert "<img" not in html
    assert "\x00" not in html
    assert "\u202e" not in html
    # Each text still reads as it was given.
    assert Page(html).text.count("<script>alert(1)</script>") > 40


def test_simulated_data_is_called_simulated_and_other_data_is_not() -> None:
    simulated, real = render(replace(REPORT, simulated=True)), render(REPORT)
    assert Page(simulated).all("p", **{"class": "banner"})
    assert "(simulated data)</title>" in simulated
    assert "No patient stands behind these figures." in simulated
    assert not Page(real).all("p", **{"class": "banner"})
    assert "Simulated data" not in Page(real).text.replace('content: "Simulated data"', "")


def test_the_contents_lead_to_every_section() -> None:
    page = Page(render(REPORT))
    targets = [link["href"][1:] for link in page.all("a")]
    assert targets == ["summary", "section-1", "section-2", "provenance"]
    identifiers = [at["id"] for _, at in page.elements if "id" in at]
    assert set(targets) <= set(identifiers)
    assert len(identifiers) == len(set(identifiers))


def test_a_headline_has_its_interval_number_and_baseline() -> None:
    text = Page(render(REPORT)).text
    for shown in (".941", "(.902–.973)", "Baseline .950 (.910–.980)", "= 312", REPORT.verdict):
        assert shown in text


def test_findings_are_told_worst_first_in_words() -> None:
    text = Page(render(REPORT)).text
    assert "4 checks: 2 failed (1 accepted), 1 unknown, 1 passed." in text
    places = [text.index(check) for check in ("near-duplicates", "duplicates-across-parts", "site-balance")]
    assert places == sorted(places)
    assert text.count("Accepted") == 1
    assert "FailAccepted" in text
    assert "18 cases" in text
    assert "case-17" in text


def test_an_accepted_check_that_passes_is_not_called_accepted() -> None:
    assert str(tally([Finding("a", "leakage", "pass", "", accepted=True)])) == "1 check: 0 failed, 0 unknown, 1 passed."


def test_a_very_long_list_of_cases_is_cut_and_says_so() -> None:
    finding = Finding("a", "quality", "fail", "", tuple(f"case-{i}" for i in range(LISTED + 250)))
    text = Page(render(replace(REPORT, sections=(Section("Audit", findings=(finding,)),)))).text
    assert f"case-{LISTED - 1}" in text
    assert f"case-{LISTED}" not in text
    assert "250 more in audit.json" in text


def test_a_page_names_the_language_of_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [at["lang"] for at in Page(render(REPORT)).all("html")] == ["en"]
    monkeypatch.setattr("medeor.report.page.language", lambda: "de")
    assert [at["lang"] for at in Page(render(REPORT)).all("html")] == ["de"]


def test_an_empty_report_is_a_whole_page() -> None:
    assert_closed(render(Report("", "", "", "")))


def test_every_drawing_has_a_text_for_those_who_do_not_see_it() -> None:
    for tag, attributes in Page(render(REPORT)).elements:
        if tag == "svg" and "x" not in attributes:
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write(REPORT, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render(REPORT)
    broken = replace(REPORT, sections=(Section("S", figures=(Drawing("D", "<svg><script/></svg>"),)),))
    with pytest.raises(ValueError, match="script"):
        write(broken, tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write(REPORT, tmp_path / "file" / "folder" / "report.html")
