"""Days and times as people write them, read in one order of day, month and year or not at all: sorted as text they
would stand in no order."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import polars as pl

from medeor.contracts import Cases, Finding, Message, UserError, named
from medeor.formats.values.missing import is_known, plain, without_accents

_MONTHS = (
    "january jan januar janner janvier janv enero ene gennaio janeiro",
    "february feb februar fevrier fevr fev febrero febbraio fevereiro",
    "march mar marz mars marzo marco mrz maerz",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio maio mag",
    "june jun juni juin junio giugno junho",
    "july jul juli juillet juil julio luglio julho",
    "august aug aout agosto ago",
    "september sep sept septembre septiembre settembre setembro",
    "october oct oktober okt octobre octubre ottobre outubro",
    "november nov novembre noviembre novembro",
    "december dec dezember dez decembre diciembre dic dicembre dezembro",
)
_MONTH_OF = {name: str(number) for number, names in enumerate(_MONTHS, start=1) for name in names.split()}
_TIME = re.compile(
    r"[t ,]*(\d{1,2})[:h时時](\d{2})(?:[:分](\d{2})(?:[.,](\d{1,6})\d*)?)?[秒分]?\s*(am|pm|a\.m\.?|p\.m\.?)?\s*"
    r"(z|utc|gmt|[+-]\d{2}:?\d{2})?$"
)
_DAY = re.compile(r"(\d{1,4})\s*([-/. ]|年)\s*(\d{1,2})\s*(?:[-/. ]|月)\s*(\d{1,4})\s*[日号]?")
_MONTH = re.compile(r"(\d{4})\s*[-/年]\s*(\d{1,2})\s*月?|(\d{1,2})\s*[-/]\s*(\d{4})")
_ORDERS = {
    "year first": ("ymd",), ".": ("dmy",), "name": ("dmy",), "/": ("dmy", "mdy"), "-": ("dmy", "mdy"),
    "short .": ("dmy",), "short name": ("dmy",), "short /": ("dmy", "mdy", "ymd"), "short -": ("dmy", "mdy", "ymd"),
}  # fmt: skip
"""The orders that are possible, with four digits of the year and, `short`, with two."""
_ORDER = named("values.dates", "ymd", "dmy", "mdy")
_YEARS = (1800, 2200)
_TURN = 69
"""Two digits of a year up to this one are of this century, as in POSIX."""


class _Written(NamedTuple):
    """One text: its three numbers and how they stand, a key of `_ORDERS`."""

    numbers: tuple[int, int, int]
    form: str
    time: dt.timedelta | None


class Times(NamedTuple):
    """A column of text as days or times."""

    column: pl.Series
    """Date, or Datetime where a row has a time of day."""
    order: Message
    """In which order day, month and year were read: `day-month-year`."""


def read_times(column: pl.Series) -> Times | None:
    """Days and times of a column of text, all in one order of day, month and year (`25/03/2021`, `4.3.2021`,
    `2021年3月4日`, `4 March 2021`, `20210304`, each also with a time of day; `2021-03`); None where a text is neither
    that nor unknown.

    Raises: UserError where the order is ambiguous, or differs between rows."""
    texts = column.cast(pl.String)
    known = list(filter(is_known, texts.unique(maintain_order=True).drop_nulls()))
    read = {text: _written(text) for text in known}
    found = [one for one in read.values() if one is not None]
    if not known or len(found) < len(known):
        return None
    forms = {one.form: text for text, one in read.items() if one is not None}
    if len(forms) > 1:
        first, second = list(forms.values())[:2]
        raise UserError("values.dates.several-ways", column=column.name, first=first, second=second)
    orders = [order for order in _ORDERS[found[0].form] if all(_moment(one, order) for one in found)]
    if not orders:
        if not are_days(known):
            return None
        first = next(text for text, one in read.items() if one and not _moment(one, _ORDERS[one.form][0]))
        raise UserError("values.dates.no-order", column=column.name, first=known[0], second=first)
    if len(orders) > 1 and len({tuple(_moment(one, order) for one in found) for order in orders}) > 1:
        text = next(text for text, one in read.items() if one and _moment(one, orders[0]) != _moment(one, orders[1]))
        several = [_ORDER[order] for order in orders]
        raise UserError("values.dates.ambiguous", column=column.name, text=text, orders=several)
    moments = {text: _moment(one, orders[0]) for text, one in read.items() if one is not None}
    values = pl.Series(column.name, [moments.get(text) for text in texts], pl.Datetime("us"))
    timed = any(one.time is not None for one in found)
    return Times(values if timed else values.cast(pl.Date), _ORDER[orders[0]])


def are_days(texts: Iterable[str]) -> bool:
    """Whether every text is a day, in whatever order."""
    found = [_written(text) for text in texts]
    return bool(found) and all(one and any(_moment(one, order) for order in _ORDERS[one.form]) for one in found)


def are_written_days(numbers: Sequence[float]) -> bool:
    """Whether whole numbers, more than two of them, are all days written without signs: 20210304."""
    whole = [number for number in numbers if number == number // 1 and 18000101 <= number <= 22001231]
    return len(numbers) > 2 and len(whole) == len(numbers) and are_days(f"{number:.0f}" for number in numbers)


def in_order_of_time(cases: Cases, name: str = "time") -> Cases:
    """The cases with days and times that were text as such, so that they can be put in order, and a finding on how they
    were read; numbers (years, days since a start) are in order already. `name` is what the user calls their column.

    Raises: UserError for text that is neither, and for days that can be read in two ways."""
    if "time" not in cases.table.columns:
        return cases
    times = cases.table["time"]
    numbers = times
    if times.dtype.is_integer() and times.drop_nulls().is_between(1_000_000, 99_999_999).all():
        # `4032021` and `20210403`: days without signs, the second of which is in order as it stands.
        written = times.cast(pl.String).str.zfill(8)
        numbers = written if (written.str.slice(0, 4).cast(pl.Int64) > 2200).any() else times
    if numbers.dtype != pl.String:
        return cases
    read = read_times(numbers.alias(name))
    counted = numbers.str.strip_chars().cast(pl.Float64, strict=False)
    if read is None and counted.null_count() == numbers.null_count():
        return replace(cases, table=cases.table.with_columns(counted.alias("time")))
    if read is None:
        unexpected = next(text for text in numbers.drop_nulls() if not are_days([text]))
        raise UserError("values.dates.no-time", text=unexpected)
    text, day = times.drop_nulls()[0], read.column.drop_nulls()[0]
    message = Message("values.dates.read", order=read.order, text=text, day=str(day))
    finding = Finding("time-format", "quality", "pass", message)
    table = cases.table.with_columns(read.column.alias("time"))
    return replace(cases, table=table, findings=(*cases.findings, finding))


def _written(text: str) -> _Written | None:
    text = plain(text)
    time = None
    if (clock := _TIME.search(text)) and clock.start() > 5:
        time, text = _time_of_day(clock), text[: clock.start()]
        if time is None:
            return None
    text, named = _with_month_number(text.strip())
    if re.fullmatch(r"\d{8}", text):
        if _YEARS[0] <= int(text[:4]) <= _YEARS[1] and 1 <= int(text[4:6]) <= 12:
            return _Written((int(text[:4]), int(text[4:6]), int(text[6:])), "year first", time)
        return _Written((int(text[:2]), int(text[2:4]), int(text[4:])), "/", time)
    if month := _MONTH.fullmatch(text):
        year, number = (month[1], month[2]) if month[1] else (month[4], month[3])
        return _Written((int(year), int(number), 1), "year first", time)
    day = _DAY.fullmatch(text)
    if day is None:
        return None
    first, mark, middle, last = day.groups()
    numbers = int(first), int(middle), int(last)
    if len(first) == 4 and len(last) <= 2:
        return _Written(numbers, "year first", time)
    form = "name" if named else mark
    if len(first) > 2 or form not in _ORDERS or len(last) not in (2, 4):
        return None
    return _Written(numbers, form if len(last) == 4 else f"short {form}", time)


def _with_month_number(text: str) -> tuple[str, bool]:
    """A text with the name of a month as its number, and with blanks between: `4 3 2021` of `4th of March, 2021`."""
    words = re.findall(r"[^\W\d_]+|\d+", re.sub(r"(\d)(st|nd|rd|th)\b", r"\1", without_accents(text)))
    months = [word for word in words if word in _MONTH_OF]
    if len(months) != 1:
        return text, False
    kept = [_MONTH_OF.get(word, word) for word in words if word not in ("of", "de", "den", "del", "le")]
    place = words.index(months[0])
    # The name says which number is the month, so the order is always day first.
    if place == 0 and len(kept) == 3:
        kept = [kept[1], kept[0], kept[2]]
    return " ".join(kept), True


def _time_of_day(clock: re.Match[str]) -> dt.timedelta | None:
    hour, minute, second = (int(part or 0) for part in clock.group(1, 2, 3))
    if clock[5]:
        hour = hour % 12 + (12 if clock[5].startswith("p") else 0)
    if hour > 24 or minute > 59 or second > 59:
        return None
    shift = dt.timedelta()
    if clock[6] and clock[6][0] in "+-":
        digits = clock[6].replace(":", "")
        shift = dt.timedelta(hours=int(digits[1:3]), minutes=int(digits[3:])) * (1 if digits[0] == "+" else -1)
    fraction = int((clock[4] or "").ljust(6, "0"))
    return dt.timedelta(hours=hour, minutes=minute, seconds=second, microseconds=fraction) - shift


def _moment(one: _Written, order: str) -> dt.datetime | None:
    parts = dict(zip(order, one.numbers))
    year = parts["y"]
    if one.form.startswith("short "):
        year += 2000 if year < _TURN else 1900
    if not _YEARS[0] <= year <= _YEARS[1]:
        return None
    try:
        return dt.datetime(year, parts["m"], parts["d"]) + (one.time or dt.timedelta())
    except ValueError:
        return None
