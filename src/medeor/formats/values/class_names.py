"""What the names of classes give away: an order, several labels in one cell, slips of the pen, and words or codes that
are hardly a class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

from medeor.contracts import Finding, Message, listed
from medeor.formats.values.missing import plain, without_accents
from medeor.formats.values.positive import answer_of

_SCALES = (
    (
        "none|no|absent|normal|negative|healthy|nil", "minimal|very low|very mild|trace|doubtful|questionable",
        "mild|low|slight|light|small|minor", "moderate|medium|intermediate", "severe|high|marked|strong|major",
        "very severe|very high|critical|extreme|proliferative",
    ),
    ("无|無|正常", "极轻度|極輕度", "轻度|輕度|轻|輕|低", "中度|中", "重度|重|高", "极重度|極重度|危重"),
    ("kein|keine|normal", "minimal", "leicht|gering|niedrig", "mittel|mäßig|moderat",
     "schwer|stark|hoch", "sehr schwer"),
    ("aucun|aucune|absent|normal", "minime", "léger|légère|faible", "modéré|modérée|moyen",
     "sévère|grave|élevé", "très sévère"),
    ("ninguno|ausente|normal", "mínimo", "leve|bajo", "moderado|moderada|medio", "severo|severa|grave|alto",
     "muy grave"),
)  # fmt: skip
"""Words of scales from nothing to the most, a language a line."""
_ROMAN = re.compile(r"(?=[ivx])(x{0,3})(ix|iv|v?i{0,3})")
_SEVERAL = re.compile(r"\s*[|;,、，；/&+]\s*|\s+and\s+")
_CODE = re.compile(r"7+|8+|9+|9*[78]")
_HARDLY = {"excluded", "exclude", "exclu", "excluido", "ausgeschlossen", "排除", "poor quality", "see report", "error"}
"""What says, as a third class, rather why there is none."""
_MOST_TYPOS = 0.05
"""Share of the rows of one class up to which another of nearly the same name is taken for a slip of the pen."""
_ALIKE = 0.85
"""How alike two names are that differ by a slip: of 1, as `difflib` has it."""
_SHOWN = 3


def in_order(names: Iterable[str]) -> list[str] | None:
    """The names of grades from the lowest to the highest: by the number, the Roman number or the single letter that
    they end in, or by the words of a scale (none, mild, moderate, severe). None where their order is not known."""
    texts = {name: without_accents(plain(name)).replace("_", " ") for name in names}
    for place_of in (_number, _roman, _letter):
        places = {name: place_of(text) for name, text in texts.items()}
        known = [place for place in places.values() if place is not None]
        if len(known) == len(places) and len({stem for stem, _ in known}) == 1 and len(set(known)) == len(known):
            return sorted(places, key=lambda name: places[name] or ("", 0.0))
    for scale in _SCALES:
        steps = {without_accents(word): step for step, words in enumerate(scale) for word in words.split("|")}
        found = {name: steps.get(text, -1) for name, text in texts.items()}
        if -1 not in found.values() and len(set(found.values())) == len(found):
            return sorted(found, key=lambda name: found[name])
    return None


def doubtful(column: str, counts: Mapping[str, int]) -> tuple[Finding, ...]:
    """What is odd about the classes of a column, each with the number of its rows."""
    checks = (_several_labels, _alike, _third, _codes)
    return tuple(finding for check in checks for finding in [check(column, counts)] if finding is not None)


def _several_labels(column: str, counts: Mapping[str, int]) -> Finding | None:
    single = {plain(name.strip("[](){}'\" ")) for name in counts}
    several = []
    for name in counts:
        parts = [plain(part.strip("'\" ")) for part in _SEVERAL.split(name.strip("[](){}"))]
        if len(parts) > 1 and not any(part.isdigit() for part in parts) and single & set(parts):
            several.append(name)
    if not several:
        return None
    text = Message("values.classes.several-labels", column=column, cells=listed(map(repr, several), _SHOWN))
    return Finding("several-labels-in-a-cell", "labels", "fail", text)


def _alike(column: str, counts: Mapping[str, int]) -> Finding | None:
    names = sorted(counts, key=lambda name: (counts[name], name))
    pairs = [
        Message("values.classes.pair", rare=rare, few=counts[rare], other=other, many=counts[other])
        for place, rare in enumerate(names)
        for other in names[place + 1 :]
        if _is_slip(plain(rare), plain(other), counts[rare], counts[other])
    ]
    if not pairs:
        return None
    text = Message("values.classes.similar", column=column, pairs=listed(pairs, _SHOWN))
    return Finding("similar-classes", "labels", "fail", text)


def _is_slip(rare: str, other: str, few: int, many: int) -> bool:
    """Whether two names are a word and its plural or its beginning, or, one of them being rare, differ by a slip."""
    short, long = sorted((rare, other), key=len)
    if not short or any(sign.isdigit() for sign in short + long) or answer_of(short) is not None:
        return False
    if _roman(short) is not None and _roman(long) is not None:
        return False
    begun = len(short) <= 4 and len(long) >= len(short) + 3 and short.isascii() and long.isalpha()
    if long in (short + "s", short + "es") or (begun and long.startswith(short)):
        return True
    is_rare = few <= _MOST_TYPOS * many or (few <= 2 and few <= many / 5)
    return is_rare and len(short) > 4 and SequenceMatcher(None, short, long, False).ratio() >= _ALIKE


def _third(column: str, counts: Mapping[str, int]) -> Finding | None:
    """Words among yes and no, or among numbers: perhaps they say why there is no answer."""
    answers = {name: answer_of(name) for name in counts}
    numbers = [name for name in counts if re.fullmatch(r"[+-]?\d+", name.strip())]
    others = [name for name in counts if answers[name] is None and name not in numbers]
    worded = bool(others) and all(len(name) > 1 and name[0].isalpha() for name in others)
    worded = worded and not any(sign.isdigit() for name in others for sign in name)
    asked = {0, 1} <= set(answers.values()) or len(numbers) > 1
    if not (worded and asked):
        others = [name for name in counts if len(counts) > 2 and (name == "None" or plain(name) in _HARDLY)]
    if not others:
        return None
    odd = listed((f"'{name}' ({counts[name]})" for name in others), _SHOWN)
    text = Message("values.classes.third", column=column, classes=odd)
    return Finding("third-class", "labels", "unknown", text)


def _codes(column: str, counts: Mapping[str, int]) -> Finding | None:
    numbers = sorted({int(name) for name in counts if re.fullmatch(r"\d{1,4}", name.strip())})
    if len(numbers) < len(counts) or len(numbers) < 3 or numbers[0] > 1:
        return None
    run = [number for place, number in enumerate(numbers) if number == numbers[0] + place]
    rest = numbers[len(run) :]
    if len(run) < 2 or not rest or rest[0] < run[-1] + 3 or not all(_CODE.fullmatch(str(one)) for one in rest):
        return None
    text = Message("values.classes.codes", column=column, codes=tuple(rest), first=run[0], last=run[-1])
    return Finding("class-codes", "labels", "unknown", text)


# Places in an order --------------------------------------------------------------------------------------------------

_Place = tuple[str, float] | None


def _number(text: str) -> _Place:
    match = re.fullmatch(r"(.*?)\s*([+-]?\d+(?:[.,]\d+)?)\s*([a-d]?)", text)
    if match is None:
        return None
    return match.group(1), float(match.group(2).replace(",", ".")) + _tenths(match.group(3))


def _roman(text: str) -> _Place:
    stem, _, last = text.rpartition(" ")
    match = re.fullmatch(rf"{_ROMAN.pattern}([a-d]?)", last)
    if match is None:
        return None
    ones = {"": 0, "i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9}
    return stem, 10.0 * len(match.group(1)) + ones[match.group(2)] + _tenths(match.group(3))


def _tenths(letter: str) -> float:
    """`4A` lies between 4 and `4B`."""
    return (ord(letter) - ord("a") + 1) / 10 if letter else 0.0


def _letter(text: str) -> _Place:
    stem, _, last = text.rpartition(" ")
    return (stem, float(ord(last))) if re.fullmatch("[a-z]", last) else None
