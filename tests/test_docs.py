"""What the documentation says can be done: the reference is up to date, links lead somewhere, commands parse, and the
numbers of the READMEs stand beside the commands that print them."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

import medeor
from medeor import catalogue
from medeor.cli.app import app
from medeor.contracts import Study
from medeor.imaging.model.prepare import Preparation
from medeor.imaging.plan import ImagePlan
from medeor.registry import TASKS
from medeor.road.study_file import study_from
from medeor.settings import with_settings

ROOT = Path(__file__).parents[1]
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
PAGES = (*READMES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
GROUP: Any = typer.main.get_command(app)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `medeor` of every command line in the shell blocks of a page."""
    for block in blocks(page, "sh"):
        for line in block.replace("&&", "\n").splitlines():
            words = shlex.split(line, comments=True)
            if "medeor" in words and words[0] not in ("cd", "pip"):
                yield words[words.index("medeor") + 1 :]


def mentions(page: Path) -> list[list[str]]:
    """The words after `medeor` of every command that the running text names."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [said.split() for said in re.findall(r"`medeor ([a-z][^`]*)`", text)]


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


every_page = pytest.mark.parametrize("page", PAGES, ids=named)
every_readme = pytest.mark.parametrize("page", READMES, ids=named)


def test_the_reference_is_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    kept = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md")}
    assert kept == generate.pages(), "run: python docs/generate.py"


@every_page
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(title) for title in titles}, target


def slug(title: str) -> str:
    """The anchor of a heading, as it is commonly made."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@every_page
def test_commands_parse_and_ask_for_what_exists(page: Path) -> None:
    for verb, *rest in commands(page):
        if verb.startswith("-"):
            continue
        command = GROUP.commands[verb]
        given = command.make_context(verb, list(rest)).params
        check_sources(given.get("sources"), rest)
        for setting in given.get("settings") or ():
            check_setting(setting)
        offers = [offer for facts in TASKS.values() for offer in facts.offers]
        offered = {key for offer in offers for key in offer.takes}
        known = offered if verb == "export" else {key for facts in TASKS.values() for key in facts.options}
        assert {asked.partition("=")[0] for asked in given.get("options") or ()} <= known, rest
        assert {asked.partition("=")[0] for asked in given.get("query") or ()} <= offered, rest
        assert set(given.get("as_") or ()) <= {offer.name for offer in offers if offer.kind == "file"}, rest


def check_sources(sources: Sequence[str] | None, rest: Sequence[str]) -> None:
    """A word that looks like the name of a data set is one."""
    for source in sources or ():
        if "mnist" in source:
            assert source in catalogue.names(), rest


def check_setting(setting: str) -> None:
    """`--set` fixes a value of the plan, within its bounds, a field of the study, or one of its inputs."""
    key, _, text = setting.partition("=")
    if key.startswith("inputs."):
        assert any(key.removeprefix("inputs.") in facts.inputs for facts in TASKS.values()), setting
    elif key not in {field.name for field in dataclasses.fields(Study)}:
        with_settings(ImagePlan(Preparation((28, 28), 1)), {key: text}, "--set")


@every_page
def test_commands_in_the_text_have_verbs_and_flags_that_exist(page: Path) -> None:
    for verb, *rest in mentions(page):
        command = GROUP.commands[verb]
        flags = {flag for parameter in command.params for flag in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= flags, (verb, rest)


@every_page
def test_python_blocks_parse_and_use_public_names(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "medeor":
                assert node.attr in medeor.__all__, node.attr


def test_study_files_in_the_documentation_can_be_read() -> None:
    shown = [block for page in PAGES for block in blocks(page, "toml") if block.startswith("# study.toml")]
    assert shown
    for block in shown:
        assert study_from(tomllib.loads(block), "docs").sources


def test_checks_named_by_the_audit_page_exist() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    page = (ROOT / "docs/explanation/audits.md").read_text(encoding="utf-8")
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    checks = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell) if not name.startswith("shortcut/NAME")]
    assert len(checks) > 15
    assert not [name for name in checks if f'"{name}"' not in code]


# --- the READMEs -----------------------------------------------------------------------------------------


@every_readme
def test_every_table_of_numbers_says_how_it_is_printed(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [line for line in table.splitlines()[2:] if re.search(r"\d\.\d|\.\d", line)]
        before = text[: text.index(table)].rstrip().rpartition("\n\n")[2]
        for row in rows:
            assert prints(row) or prints(before), f"no command prints {row}"


@every_readme
def test_output_follows_the_command_that_printed_it(page: Path) -> None:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    for before, (kind, text) in zip([("", ""), *found], found, strict=False):
        if kind == "text" and re.search(r"\d\.\d", text):
            assert before[0] == "sh", text


def prints(text: str) -> bool:
    return bool(re.search(r"\b(?:medeor|make|python -m bench) \w", text))


def test_both_readmes_give_the_same_commands_and_outputs() -> None:
    english, chinese = READMES
    assert list(commands(english)) == list(commands(chinese))
    assert blocks(english, "text") == blocks(chinese, "text")
    assert english.read_text(encoding="utf-8").count("\n## ") == chinese.read_text(encoding="utf-8").count("\n## ")


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    assert all(picture.stat().st_size < 300_000 for picture in pictures)
