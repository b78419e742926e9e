import re
import string

import pytest

from medeor.messages import ENGLISH, HOME, Message, catalogue, is_plural, languages, listed, template
from messages import sentences


def _entries(table, prefix):
    for name, found in table.items():
        if isinstance(found, str) or is_plural(found):
            yield f"{prefix}.{name}", found
        else:
            yield from _entries(found, f"{prefix}.{name}")


def _all(language):
    return {
        key: found
        for path in (HOME / language).glob("*.toml")
        for key, found in _entries(catalogue(language, path.stem), path.stem)
    }


def _placeholders(found):
    forms = [found] if isinstance(found, str) else list(found.values())
    return {name for form in forms for _, name, _, _ in string.Formatter().parse(form) if name is not None}


def test_whatever_a_user_reads_comes_from_the_catalogue():
    assert sentences.plain() == []


def test_each_key_in_the_code_has_words_and_each_of_its_placeholders_a_value():
    wrong = [
        f"{call.where}: {call.key}"
        for call in sentences.messages()
        if (found := template(call.key, ENGLISH)) is None
        or (call.values is not None and not _placeholders(found) <= call.values)
        or (isinstance(found, dict) and call.values is not None and "count" not in call.values)
    ]
    assert wrong == []


def test_no_words_are_left_over():
    code = "\n".join(path.read_text(encoding="utf-8") for path, _ in sentences.trees())
    used = {call.key for call in sentences.messages()}
    # A key may be put together: `Message(f"imaging.audit.{change}")`, or `**named("molecules.options", …)`.
    made = [re.escape(found) for found in re.findall(r'f"([a-z]\w*\.[\w.-]*)\{', code)]
    put_together = re.compile("|".join(made)) if made else re.compile(r"(?!)")
    used |= {key for key in _all(ENGLISH) if f'"{key}"' in code or put_together.match(key)}
    unused = set(_all(ENGLISH)) - used
    assert not unused


@pytest.mark.parametrize("language", languages())
def test_every_language_has_placeholders_of_the_english_words_and_plural_forms_of_its_own(language):
    english = _all(ENGLISH)
    for key, found in _all(language).items():
        assert _placeholders(found) <= _placeholders(english[key]), key
        assert isinstance(found, str) or set(found) <= {"one", "other"}, key


def test_a_number_chooses_the_form():
    assert str(Message("common.more", values=("a", "b"), count=12345)) == "a, b and 12,345 more"
    assert listed("abc", most=2) == Message("common.more", values=("a", "b"), count=1)
    assert listed("abc") == ("a", "b", "c")


def test_a_key_without_words_is_its_own_template():
    assert str(Message("{n:,} spots on {what}", n=1200, what=Message("the {organ}", organ="skin"))) == (
        "1,200 spots on the skin"
    )
    assert str(Message("a brace { alone")) == "a brace { alone"


def test_a_template_cannot_look_into_its_values():
    assert "medeor" not in str(Message("{x.__class__.__module__} {x[0]}", x=Message("y")))


def test_a_message_comes_back_from_json():
    message = Message("common.more", values=("a", Message("{x}", x=2.5)), count=3)
    assert Message.from_json(message.to_json()) == message
    assert Message("x", value=float("nan")).to_json()["values"] == {"value": "nan"}
