"""What a person wrote becomes a dataclass, or is refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

import tiny
from medeor import files, settings
from medeor.contracts import UserError
from medeor.imaging.plan import ImagePlan


@dataclass(frozen=True)
class Inner:
    size: tuple[int, ...] = (1, 2)
    share: float = 0.5


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    name: str = "x"
    flag: bool = False


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"nam": "y"}, ["'nam'", "flag, inner, name"]),
        ({"inner": {"sizes": [1]}}, ["'inner.sizes'", "share, size"]),
        ({"inner": {"size": ["a"]}}, ["inner.size.0", "'a'"]),
        ({"inner": 3}, ["inner", "3"]),
        ({"flag": "perhaps"}, ["flag", "'perhaps'"]),
    ],
)
def test_a_wrong_setting_is_named_in_full(values: dict, words: list[str]) -> None:
    with pytest.raises(UserError) as said:
        settings.build(Outer, values, "plan.toml")
    assert str(said.value).startswith("plan.toml: ")
    assert all(word in str(said.value) for word in words)


def test_a_plan_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    folder = tiny.plan_at(tmp_path, channels=3, mirrored=True)
    plan = settings.build(ImagePlan, files.read_toml(folder / "plan.toml"), "plan.toml")
    files.write_toml(folder / "again.toml", plan)
    assert (folder / "again.toml").read_text() == (folder / "plan.toml").read_text()
    assert plan.preparation.channels == 3
    assert plan.mirrored is True
    assert plan.augmentation.flips == (0.0, 0.5)


def test_settings_are_typed_by_what_they_replace() -> None:
    typed = {"inner.size": "[3, 4]", "inner.share": "1", "name": "12 monkeys", "flag": "true"}
    assert settings.with_settings(Outer(), typed, "--set") == Outer(Inner((3, 4), 1.0), "12 monkeys", True)
    for key in ("inner.sizes", "iner.size", "", "inner."):
        with pytest.raises(UserError, match="no setting is called"):
            settings.with_settings(Outer(), {key: "1"}, "--set")
        with pytest.raises(UserError, match="no setting is called"):
            settings.check_settings(Outer, {key: "1"}, "--set")


@pytest.mark.parametrize("typed", [{"inner.size": "3"}, {"name.first": "x"}, {"inner": "1"}, {"flag": "perhaps"}])
def test_a_value_of_another_type_is_refused_before_there_is_one_to_replace(typed: dict[str, str]) -> None:
    (key,) = typed
    with pytest.raises(UserError, match=f"--set: {key.partition('.')[0]}.*: input should be"):
        settings.check_settings(Outer, typed, "--set")
    with pytest.raises(UserError, match="--set: "):
        settings.with_settings(Outer(), typed, "--set")
    settings.check_settings(Outer, {"inner.size": "[3, 4]", "inner.share": "1", "name": "12 monkeys"}, "--set")
