"""What stands in a table for a value that nobody knows: words in several languages, codes among classes, and numbers
that no instrument has measured."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import polars as pl

_UNKNOWN = {
    "signs": "?|??|???|.|..|...|//|\\|*|#n/a|#na|#null!|#value!|#div/0!|#num!|#ref!|#",
    "codes": "n/a|n.a|n.a.|n\\a|n_a|nan|null|nil|nat|n/d|n.d|n.d.|n\\d|n.k.|n/k|n/i|u/k|unk|ukn|tbd",
    "English": "unknown|unknwon|unkown|not known|unspecified|not specified|not available|unavailable|not applicable|"
    "not tested|untested|not done|not performed|not assessed|not assessable|not evaluated|not evaluable|unevaluable|"
    "not reported|not recorded|not stated|not determined|undetermined|not measured|not measurable|not provided|"
    "not given|no data|no information|no answer|no result|refused|prefer not to say|data missing|missing data|"
    "missing value|pending|to be determined|withheld|test not done|unascertained",
    "Chinese": "未知|不详|不詳|不明|不清|不清楚|不知道|未检|未檢|未查|未检测|未檢測|未检查|未檢查|未测|未測|未做|"
    "未测定|未測定|未提供|未填|未填写|未填寫|未记录|未記錄|未评估|未評估|未评价|未報告|未报告|待定|待查|"
    "待检|待檢|缺失值|数据缺失|數據缺失|无数据|無數據|無資料|无资料|暂无|暫無|不适用|不適用|拒绝|拒絕|拒答|无法评估|無法評估",
    "French": "inconnu|inconnue|non connu|non connue|non renseigné|non renseignée|non précisé|non précisée|"
    "non spécifié|non spécifiée|non testé|non testée|non déterminé|non déterminée|non disponible|non évalué|"
    "non évaluée|non évaluable|non fait|non faite|non applicable|non mesuré|non réalisé|non réalisée|sans réponse|"
    "pas de données|pas de réponse|ne sait pas|indisponible|nsp|donnée manquante|données manquantes",
    "German": "unbekannt|nicht bekannt|k.a|k.a.|k. a.|keine angabe|keine angaben|keine daten|ohne angabe|"
    "nicht getestet|nicht bestimmt|nicht untersucht|nicht erhoben|nicht verfügbar|nicht beurteilbar|"
    "nicht bewertbar|nicht durchgeführt|nicht gemessen|nicht zutreffend|nicht erfasst|entfällt|n.b|n.b.|"
    "weiß nicht|weiss nicht",
    "Spanish": "desconocido|desconocida|no conocido|no conocida|se desconoce|no consta|no disponible|no aplica|"
    "no aplicable|no realizado|no realizada|no evaluado|no evaluada|no evaluable|no determinado|no determinada|"
    "no especificado|no informado|no probado|no testado|sin datos|sin dato|sin información|no sabe|ns/nc",
    "Italian": "sconosciuto|sconosciuta|non noto|non nota|non disponibile|non valutato|non valutabile|"
    "non specificato|non testato|non eseguito|non applicabile|dato mancante|ignoto|ignota",
    "Portuguese": "desconhecido|desconhecida|não informado|não disponível|não avaliado|não realizado|"
    "não se aplica|não testado|sem dados|sem informação|ignorado|ignorada",
}
"""What says that a value is not known, a language a line."""
_OFTEN = {
    "codes": "na|nd|missing|blank|invalid|/",
    "Chinese": "缺失|缺|空|无效|無效",
    "French": "manquant|manquante",
    "German": "fehlt|fehlend|ungültig",
    "Spanish": "perdido|faltante|falta",
    "Italian": "mancante",
}
"""What says so where two other classes are left, and may be one itself where not: `ND` is also *no dementia*."""
_UNDECIDED = {
    "English": "indeterminate|uncertain|equivocal|inconclusive|undecided|non-diagnostic|nondiagnostic|not diagnostic|"
    "unclear|not sure|unsure|ambiguous|unclassifiable|cannot be determined|ungradable|"
    "not gradable|lost to follow up|lost to follow-up",
    "Chinese": "不确定|不確定|无法判断|無法判斷|无法确定|無法確定|难以判断|難以判斷|待排|可疑待查",
    "French": "indéterminé|indéterminée|incertain|incertaine|équivoque|douteux|douteuse|non concluant|non concluante",
    "German": "unklar|unsicher|unbestimmt|uneindeutig|nicht eindeutig|fraglich|zweifelhaft",
    "Spanish": "indeterminado|indeterminada|incierto|incierta|equívoco|equívoca|dudoso|dudosa|no concluyente",
    "Italian": "indeterminato|indeterminata|incerto|incerta|equivoco|dubbio|dubbia|non conclusivo",
    "Portuguese": "indeterminada|incerto|incerta|duvidoso|duvidosa|inconclusivo",
}
"""What says, of a case that was looked at, that it is none of the other classes for sure."""
_DASHES = frozenset(["-", "–", "—", "−", "--", "---"])
"""No class where there are others; beside + it is one."""
_NEGATIVE = frozenset({-1, -7, -8, -9, -77, -88, -98, -99})
_MACHINE = frozenset({
    2147483647, -2147483648, 32767, -32768, 2.0**63, -(2.0**63), 9.969209968386869e36, 1e20, -1e20, 1e30, -1e30,
})  # fmt: skip
"""The largest and smallest numbers of a format, and what NetCDF and others fill gaps with."""
_LARGEST = 3.4e38
"""No measurement is larger: the largest number of 32 bits."""
_MEASURED = 3
"""Different values that make a column one of measurements, among which a number can be a code."""
_LARGEST_GRADE = 20
"""Grades and counts of classes go no further, so that 99 beside them is a code."""
_FAR = 5.0
"""Times the largest of the others a code of nines is at least."""


class Missing(NamedTuple):
    """A column without the values that say that nothing is known."""

    column: pl.Series
    codes: dict[str, int]
    """What was taken for unknown, as it stands in the table, and in how many rows."""


def without_missing_classes(column: pl.Series, grades: bool = False) -> Missing:
    """A column of classes, with null for what says unknown (`?`, `n/d`, `not tested`, `未知`), and, beside two other
    classes or more, for what is undecided (`equivocal`; not among `grades`, where it may be one) and for codes (-1
    beside 0 and 1, 99 beside grades)."""
    texts = as_texts(column)
    counts = texts.drop_nulls().value_counts().rows()
    plain = {text: _plain(text) for text, _ in counts}
    codes = {text for text, one in plain.items() if not one or one in _UNKNOWN_TEXTS}
    signed = any(one.startswith("+") for one in plain.values())
    for known in (_OFTEN_TEXTS, () if grades else _UNDECIDED_TEXTS, () if signed else _DASHES):
        found = {text for text, one in plain.items() if one in known}
        if len(plain.keys() - codes - found) > 1:
            codes |= found
    codes |= _class_codes({text: one for text, one in plain.items() if text not in codes}, grades)
    return _taken_out(column, texts, codes)


def without_missing_numbers(column: pl.Series) -> Missing:
    """A column of measurements (numbers, not text), with null for what no instrument measures: infinite values and
    numbers beyond those of 32 bits, the largest numbers of a format, and codes such as -999 and 9999 that lie far
    from every other value. -1 and -9 are codes where they come again among numbers that are none below 0 and reach 20;
    a logarithm may well be -1."""
    if not column.dtype.is_numeric():
        return Missing(column, {})
    column = column.fill_nan(None) if column.dtype.is_float() else column
    numbers = column.cast(pl.Float64)
    impossible = ~numbers.is_finite() | (numbers.abs() > _LARGEST)
    found = dict(numbers.filter(~impossible).drop_nulls().value_counts().iter_rows())
    suspects = {number for number in found if number in _MACHINE or number == -1 or _nines(number)}
    measured = [number for number in found if number not in suspects]
    enough = len(measured) >= _MEASURED
    codes = {number for number in suspects if enough and _is_code(number, found[number], measured)}
    kept = ~(impossible | numbers.is_in(list(codes)))
    taken = numbers.filter(~kept.fill_null(True)).unique()
    return _taken_out(column, numbers, taken, lambda number: f"{number:.10g}")


def says_unknown(text: str) -> bool:
    """Whether a text says that a value is not known (`n/a`, `not tested`, `未知`)."""
    return _plain(text) in _UNKNOWN_TEXTS | _OFTEN_TEXTS


def is_known(text: str) -> bool:
    """Whether a text holds something, and does not say that a value is not known."""
    return bool(text.strip()) and not says_unknown(text)


def plain(text: str) -> str:
    """A text by which spellings of one word are the same: in lower case, with half-width signs in one normal form,
    without spaces around it, several in a row, or punctuation behind it."""
    text = _one_form(text)
    return text.rstrip(" .,;:!。、") or text


def without_accents(text: str) -> str:
    """The same letters without their marks, so that those who type without find it too."""
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(sign for sign in parts if not unicodedata.combining(sign)))


def _one_form(text: str) -> str:
    """In lower case and one normal form, with single spaces and without signs that nobody sees."""
    shown = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    return unicodedata.normalize("NFKC", " ".join(unicodedata.normalize("NFKC", shown).casefold().split()))


def _plain(text: str) -> str:
    text = _one_form(text).strip("\"'")
    inside = text.strip("()[]<>{} ")
    return without_accents(re.sub(r"[_\s]+", " ", inside or text).strip())


def _class_codes(classes: dict[str, str], grades: bool) -> set[str]:
    """Numbers among classes that are codes of the unknown. Both of two classes are real; so is -1 as the lower
    neighbour of 0 on a scale of three steps or more (loss, none, gain, amplification), or where `grades` are asked."""
    numbers = {text: _whole(one) for text, one in classes.items()}
    suspects = {
        text for text, number in numbers.items() if number is not None and (number in _NEGATIVE or _nines(number))
    }
    rest = {text: number for text, number in numbers.items() if text not in suspects}
    if len(rest) < 2:
        return set()
    counted = [number for number in rest.values() if number is not None]
    if not counted:
        return suspects
    if len(counted) < len(rest) or min(counted) < 0:
        return set()
    largest = max(counted)
    nines = 99 if largest > 2 or len(counted) > 2 else 9
    above = {text for text in suspects if (numbers[text] or 0) >= nines and largest <= _LARGEST_GRADE}
    scale = min(counted) == 0 and (largest > 1 or grades)
    return above | {text for text in suspects if (numbers[text] or 0) < (-1 if scale else 0)}


def _is_code(number: float, count: int, measured: list[float]) -> bool:
    low, high = min(measured), max(measured)
    if number in _MACHINE:
        return abs(number) >= _FAR * max(abs(low), abs(high))
    if number > 0:
        far = number >= _FAR * max(abs(low), abs(high))
        return (far and (number >= 999 or count > 1)) or (number >= 999 and count > 2 and number >= 1.5 * high > 0)
    if low >= 0 and number > -10:
        return count > 1 and high >= _LARGEST_GRADE
    return number < low and (low - number > high - low or (low >= 0 and (count > 1 or number <= -999)))


def _nines(number: float) -> bool:
    """9, 99, 999, … and the like below zero."""
    return number == round(number) and set(f"{abs(number):.0f}") == {"9"}


def _whole(text: str) -> int | None:
    return int(float(text)) if re.fullmatch(r"[+-]?\d{1,9}(\.0+)?", text.replace("−", "-")) else None


def as_texts(column: pl.Series) -> pl.Series:
    """A column as text, NaN as null, and whole numbers without the decimals of a column that holds no others."""
    if column.dtype.is_float():
        whole = column.drop_nans().drop_nulls()
        if (whole.is_finite() & (whole == whole.round())).all():
            return column.fill_nan(None).cast(pl.Int64).cast(pl.String)
        return column.fill_nan(None).cast(pl.String)
    return column.cast(pl.String)


def _taken_out(
    column: pl.Series, values: pl.Series, codes: Iterable[Any], written: Callable[[Any], str] = str
) -> Missing:
    bad = values.is_in(pl.Series(list(codes), dtype=values.dtype).implode()).fill_null(False)
    counted = values.filter(bad).value_counts(sort=True).rows()
    return Missing(blanked(column, bad), {written(value): count for value, count in counted})


def blanked(column: pl.Series, bad: pl.Series) -> pl.Series:
    """A column with null where `bad`."""
    return pl.select(pl.when(bad).then(None).otherwise(column).alias(column.name)).to_series()


def _texts_of(lines: dict[str, str]) -> frozenset[str]:
    return frozenset(_plain(word) for line in lines.values() for word in line.split("|"))


_UNKNOWN_TEXTS = _texts_of(_UNKNOWN)
_OFTEN_TEXTS = _texts_of(_OFTEN)
_UNDECIDED_TEXTS = _texts_of(_UNDECIDED)
