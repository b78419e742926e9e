"""The command line: quick to start, short to learn, clean on standard output."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import resource
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import typer

import tiny
from medeor import api
from medeor.cli import app
from medeor.console import renamed

VERBS = (
    "train", "plan", "audit", "evaluate", "predict", "explain", "report", "compare", "export", "datasets", "tasks",
    "cache", "demo",
)  # fmt: skip


def test_help_answers_in_a_blink() -> None:
    script = Path(sys.executable).with_name("medeor")

    def seconds() -> float:
        """Processor time, which does not grow with what else the machine does."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
        assert all(re.search(rf"^  {verb} ", said.stdout, re.MULTILINE) for verb in VERBS)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(10)) < 0.3


@pytest.mark.parametrize("code", ["import medeor", "import medeor.cli", "import medeor.contracts, medeor.registry"])
def test_light_modules_stay_light(code: str) -> None:
    heavy = ("torch", "numpy", "polars", "sklearn", "pydantic", "lightgbm", "rich")
    report = f"{code}; import sys; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_learnt_from_its_help(verb: str) -> None:
    said = tiny.medeor(verb, "--help")
    assert said.code == 0
    flags = set(re.findall(r"^  (--[a-z-]+)", said.out, re.MULTILINE)) - {"--help"}
    assert len(flags) <= 14
    command = typer.main.get_command(app.app).commands[verb]  # type: ignore[attr-defined]
    assert command.help.endswith(".")
    assert all(parameter.help.endswith((".", ")")) for parameter in command.params)
    assert flags == {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def test_without_a_verb_help_is_given() -> None:
    assert tiny.medeor() == tiny.medeor("--help")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("nosuchverb", "nosuchverb"),
        ("train --nosuch", "--nosuch"),
        ("train", "--out"),
        ("train x --out y --set epochs", "key=value"),
        ("train x --out y --option =3", "key=value"),
        ("predict", "run"),
        ("predict nosuch x", "nosuch"),
        ("predict nosuch --query head=x --out table.doc", ".csv, .parquet, .json, .html"),
        ("report nosuch", "nosuch"),
        ("compare nosuch other", "nosuch"),
        ("export nosuch --as onnx x.onnx", "nosuch"),
        ("datasets nosuch", "nosuch"),
        ("train breastminst --out y", "breastmnist"),
        ("plan nosuch", "nosuch"),
        ("evaluate nosuch x", "nosuch"),
    ],
)
def test_a_slip_is_told_in_a_line(line: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = tiny.medeor(*line.split())
    assert said.code == 2
    assert not said.out
    assert len(said.complaints) == 1
    assert len(said.err.splitlines()) <= 2
    assert word in said.err
    assert not list(tmp_path.iterdir())


def test_on_a_terminal_progress_is_shown_and_standard_output_carries_the_result_alone(
    tiny_hospital: Path, tmp_path: Path
) -> None:
    """As a process of its own, where also what a library prints would show."""
    folder = tiny.plan_at(tmp_path / "r")
    leader, follower = pty.openpty()
    child = tiny.process(
        "train", *tiny.labelled(tiny_hospital), "--out", folder, "--json", errors=follower, TERM="xterm"
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # raised when the other side is closed
        while said := os.read(leader, 4096):
            shown += said
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0, shown
    assert set(json.loads(out)) == {"test"}
    assert b"fit model" in shown
    assert b"\x1b[" in shown


@pytest.mark.parametrize("line", ["audit {study} --json", "plan {study} --json", "tasks --json"])
def test_json_is_json(line: str, tiny_hospital: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = " ".join(map(str, tiny.labelled(tiny_hospital)))
    said = tiny.medeor(*line.format(study=study).split())
    assert said.code == 0, said.err
    assert json.loads(said.out)


def test_quiet_says_the_result_alone(tiny_hospital: Path, tmp_path: Path) -> None:
    folder = tiny.plan_at(tmp_path / "r")
    said = tiny.medeor("train", *tiny.labelled(tiny_hospital), "--out", folder, "--quiet")
    assert said.err == ""
    assert f"report: {folder / 'report.html'}" in said.out
    assert re.search(r"^auroc +\d\.\d{3} +\d\.\d{3} to \d\.\d{3} +\d\.\d{3}", said.out, re.MULTILINE)


def test_an_audit_says_how_to_name_the_site_and_the_time(tiny_hospital: Path, tmp_path: Path) -> None:
    table = pl.read_csv(tiny_hospital / "labels.csv")
    table.with_columns(day=pl.int_range(len(table))).write_csv(tmp_path / "labels.csv")
    command = ("audit", tiny_hospital / "images", "--labels", tmp_path / "labels.csv", "--target", "lesion", "--json")
    by_time = tiny.medeor(*command, "--split", "time")
    named = _settings(by_time.err, "day")
    found = {one["check"]: one for one in json.loads(tiny.medeor(*command, "--split", "time", *named).out)}
    assert found["times-across-parts"]["status"] == "pass"
    assert found["site-alone-predicts-the-label"]["status"] == "unknown"
    named = _settings(found["site-alone-predicts-the-label"]["message"], "site")
    found = {one["check"]: one for one in json.loads(tiny.medeor(*command, *named).out)}
    assert found["site-alone-predicts-the-label"]["status"] != "unknown"


def _settings(message: str, column: str) -> list[str]:
    """The flags that a message asks for, of this column."""
    return [word for flag, setting in re.findall(r"(--\S+) (\S+=)COLUMN", message) for word in (flag, setting + column)]


def test_a_study_file_says_what_flags_say_and_flags_go_before_it(tiny_hospital: Path, tmp_path: Path) -> None:
    images, _, labels, *_ = tiny.labelled(tiny_hospital)
    study = tmp_path / "study.toml"
    study.write_text(
        f'sources = ["{images}"]\nlabels = "{labels}"\ntarget = ["nosuch"]\ngroup = "patient_id"\nsplit = "part"\n'
        "seed = 5\n[settings]\nmembers = 'single'\n"
    )
    assert "nosuch" in tiny.medeor("audit", "--study", study).complaints[0]
    by_file = tiny.medeor("audit", "--study", study, "--target", "lesion")
    assert by_file == tiny.medeor("audit", *tiny.labelled(tiny_hospital))
    folder = tiny.plan_at(tmp_path / "r")
    assert tiny.medeor("train", "--study", study, "--target", "lesion", "--out", folder, "--quiet").code == 0
    kept = (folder / "study.toml").read_text()
    assert "seed = 5" in kept
    assert 'target = [\n    "lesion",\n]' in kept


def test_predictions_go_to_a_file_of_the_form_that_is_asked(
    tiny_run: Path, tiny_hospital: Path, tmp_path: Path
) -> None:

    source = tiny_hospital / "images"
    shown = pl.DataFrame(json.loads(tiny.medeor("predict", tiny_run, source, "--json").out), infer_schema_length=None)
    readers = {"csv": pl.read_csv, "parquet": pl.read_parquet, "json": pl.read_json}
    for ending, read in readers.items():
        path = tmp_path / f"p.{ending}"
        said = tiny.medeor("predict", tiny_run, source, "--out", path)
        assert said.out.startswith(f"{shown['case_id'].n_unique()} cases")
        assert read(path)["value"].to_list() == pytest.approx(shown["value"].to_list())


@pytest.mark.parametrize("verb", ["tasks", "datasets"])
def test_a_reader_that_goes_away_ends_it_quietly(verb: str) -> None:
    child = tiny.process(verb)
    child.stdout.close()  # type: ignore[union-attr]
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (1, "")


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    from medeor import catalogue

    monkeypatch.setattr(catalogue, "describe", lambda name: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["medeor", "datasets"])
    with pytest.raises(ZeroDivisionError):
        app.main()


def test_the_demo_falls_back_on_data_that_are_called_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medeor import catalogue, simulate
    from medeor.contracts import UserError

    def nowhere(name: str, progress: object) -> Path:
        raise UserError("no network")

    made = simulate.hospital
    monkeypatch.setattr(catalogue, "locate", nowhere)
    monkeypatch.setattr(simulate, "hospital", lambda n, **asked: made(30, **{**asked, "size": (12, 12)}))
    folder = tiny.plan_at(tmp_path / "demo")
    said = tiny.medeor("demo", "--out", folder)
    assert said.code == 0, said.err
    assert "simulated hospital" in said.err
    assert "<b>Simulated data</b>" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("line", "now", "said"),
    [
        ("predict nowhere --where head=x", "--query", "nowhere"),
        ("train nowhere --out y --where=kind=ordinal", "--option", "nowhere"),
        ("audit nowhere --where kind=ordinal --where id=x", "--option", "nowhere"),
    ],
)
def test_the_flag_of_0_1_works_with_one_warning(line: str, now: str, said: str) -> None:
    renamed.cache_clear()
    told = tiny.medeor(*line.split())
    assert told.code == 2
    assert told.err.count("--where is now called " + now) == 1
    assert said in told.complaints[-1]


def test_the_table_where_of_0_1_is_read_with_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.toml").write_text('task = "image-classification"\n[where]\nkind = "ordinal"\n')
    renamed.cache_clear()
    for _ in range(2):
        assert api.asked("scans", study=tmp_path / "study.toml").options == {"kind": "ordinal"}
    assert capsys.readouterr().err.count("where is now called options") == 1
