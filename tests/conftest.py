"""What every test may ask for."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import settings

import tiny
from medeor import messages


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that ask for it carry the marker `data`."""
    folder = os.environ.get("MEDEOR_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real data sets: set MEDEOR_DATA to their folder")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated hospital: `images/` and `labels.csv`."""
    return tiny.hospital(tmp_path_factory.mktemp("hospital") / "h")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_hospital: Path) -> Path:
    """A finished run over it: an ensemble of five folds."""
    folder = tiny.plan_at(tmp_path_factory.mktemp("runs") / "tiny", members="folds")
    said = tiny.medeor("train", *tiny.labelled(tiny_hospital), "--set", "subgroups=sex", "--out", folder)
    assert said.code == 0, said.err
    return folder


def _with_words(message: messages.Message) -> str:
    """A message as it is rendered; fails where its key has no words, or a placeholder has no value."""
    if re.fullmatch(r"[a-z][\w-]*(\.[\w-]+)+", message.key):
        assert messages.template(message.key, messages.ENGLISH) is not None, f"no words for {message.key}"
    return _rendered(message)


def _with_values(formatter: object, name: str, args: object, values: dict[str, object]) -> tuple[object, str]:
    assert name in values or not name.isidentifier(), f"no value for {{{name}}} among {sorted(values)}"
    return _field(formatter, name, args, values)


# Some keys are put together while the program runs: every test checks those that it meets.
_rendered, _field = messages.Message.__str__, messages._Formatter.get_field
messages.Message.__str__ = _with_words
messages._Formatter.get_field = _with_values

# The same examples in every run: a red suite can be run again and looked into.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
