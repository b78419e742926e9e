"""Text of any common encoding, with a word on what it was: bytes that are no UTF-8 are read as whatever makes its words
the most plausible."""

from __future__ import annotations

import re
from collections.abc import Callable

from medeor.contracts import Finding, Message

SAMPLE = 2000
"""Different words beyond ASCII by which the encoding is recognised."""

NAMES = {
    "gb18030": "GB18030",
    "big5": "Big5",
    "cp932": "Shift-JIS",
    "cp1252": "Windows Latin",
    "cp1251": "Windows Cyrillic",
    "mac_roman": "Mac Roman",
    "cp850": "DOS Latin",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-16": "UTF-16",
}
"""What the encodings are called, the likelier of two equally plausible first."""

_HANZI = frozenset(
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小么心多天而能好都然"
    "没日于起还发成事只作当想看文无开手用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点"
    "月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内"
    "加化由却代军产入先山五太水万市眼体别处总才场师书比住员九笑性通目华报立马命张活难神数件安表原车白应路期叫死常提感金何更反合放"
    "患者姓名别男女龄诊断病例阳阴良恶异结节癌肿瘤组号编检查结果备注医院科室日期标签类型值单左右肺肝肾胃乳腺血压糖尿心脑细胞药"
    "無陽陰惡異節腫組號編檢查結果備註醫標籤類單龄齡診斷患腎腦藥壓細胞腺圖資料數據個國學會時間們這來說對後為與發經點開關東長門"
    "氏名年齢性別男女診断結果陽性陰性正常異常良悪腫瘍検査番号日付"
)
"""Characters that every Chinese or Japanese table of patients holds."""
_LATIN = frozenset("äöüÄÖÜßéèêëàâáãåçîïíìôóòõøûúùñæœÉÈÀÂÁÅÇÎÍÓÔØÚÑ")
_SYMBOLS = frozenset("°µ±²³–—‘’“”„…€£«»¿¡·®©™×÷½¼¾ªº§%‰\u00a0")
_WORD = re.compile(rb"[^\s,;|\"\x00-\x1f]*[\x80-\xff][^\s,;|\"\x00-\x1f]*")


def decoded(content: bytes) -> str:
    """Text of UTF-8 or UTF-16, with or without a mark, else in the encoding in which its words are the most plausible.
    In Western text single lines may be UTF-8, where several hands have joined a table."""
    return decode(content)[0]


def decode(content: bytes) -> tuple[str, str]:
    """Text, and the name that Python has for its encoding; `mixed` where some lines are UTF-8 and others are not."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace"), "utf-16"
    try:
        text = content.decode("utf-8-sig")
        if "\0" not in text:
            return text, "utf-8"
    except UnicodeDecodeError:
        text = ""
    if (wide := _utf_16(content)) is not None:
        return wide
    if text:
        return text, "utf-8"
    encoding = guessed(content)
    if encoding in ("cp1252", "mac_roman", "cp850"):
        lines = content.split(b"\n")
        if any(not line.isascii() and _is_utf8(line) for line in lines):
            texts = (line.decode("utf-8" if _is_utf8(line) else encoding, errors="replace") for line in lines)
            return "\n".join(texts).removeprefix("\ufeff"), "mixed"
    return content.decode(encoding, errors="replace"), encoding


def as_utf8(content: bytes, name: str) -> tuple[bytes, tuple[Finding, ...]]:
    """The same text in UTF-8 without a mark, and a finding where it was in another encoding or in several."""
    text, encoding = decode(content)
    if encoding == "utf-8":
        return content.removeprefix(b"\xef\xbb\xbf"), ()
    return text.encode(), encoding_found(content, encoding, name)


def encoding_found(content: bytes, encoding: str, name: str) -> tuple[Finding, ...]:
    """A finding on the encoding of a file called `name`, unless it is UTF-8."""
    if encoding == "utf-8":
        return ()
    if encoding != "mixed":
        text = Message("tables.encoding.guessed", name=name, encoding=NAMES[encoding])
        return (Finding("text-encoding", "quality", "pass", text),)
    lines = content.split(b"\n")
    beyond = [i for i, line in enumerate(lines) if not line.isascii()]
    other = [i for i in beyond if not _is_utf8(lines[i])]
    known, unknown = (Message("common.count.line", count=n) for n in (len(beyond) - len(other), len(other)))
    asked, line = NAMES[guessed(content)], other[0] + 1
    text = Message("tables.encoding.mixed", name=name, known=known, other=unknown, encoding=asked, line=line)
    return (Finding("text-encoding", "quality", "fail", text),)


def guessed(content: bytes) -> str:
    """The encoding of text that is no UTF-8: the one whose words beyond ASCII are the most plausible on average, each
    different word counted once. Words that are valid UTF-8 do not vote, where others do."""
    words = list(dict.fromkeys(_WORD.findall(content)))[:SAMPLE]
    words = [word for word in words if not _is_utf8(word)] or words
    return max(_PLAUSIBLE, key=lambda encoding: sum(_PLAUSIBLE[encoding](word) for word in words))


def _utf_16(content: bytes) -> tuple[str, str] | None:
    """UTF-16 without a mark: its ASCII characters have a zero on one side, always the same."""
    even, odd = content[0::2].count(0), content[1::2].count(0)
    if min(even, odd) or max(even, odd) < 2 or len(content) % 2:
        return None
    encoding = "utf-16-le" if odd else "utf-16-be"
    try:
        return content.decode(encoding), encoding
    except UnicodeDecodeError:
        return None


# How plausible a word is, from 0 to 1.5 -----------------------------------------------------------------------------

_Scores = Callable[[str, list[str]], list[float]]
"""From a word and its characters beyond ASCII to how plausible each of these is; nothing for no such word."""


def _mean_of(encoding: str, scores: _Scores, weight: float = 1.0) -> Callable[[bytes], float]:
    def plausible(word: bytes) -> float:
        try:
            text = word.decode(encoding)
        except UnicodeDecodeError:
            return 0.0
        each = scores(text, [sign for sign in text if not sign.isascii()])
        return weight * (sum(each) / len(each)) if each else 0.0

    return plausible


def _of_pairs(encoding: str, usual: Callable[[str, bytes], float]) -> Callable[[bytes], float]:
    """Chinese and Japanese by how usual their characters are. A character or two within a word of small Latin letters
    are none: `gr枢er` is `größer`."""

    def scores(text: str, signs: list[str]) -> list[float]:
        if not signs or re.search(r"[a-z][^\x00-\x7f]{1,2}[a-z]", text):
            return []
        codes = [sign.encode(encoding, "replace") for sign in signs]
        if len(signs) == 1 and codes[0][-1:].isalpha():
            return [0.3]  # `µM` is as well one character
        return [1.5 if sign in _HANZI else usual(sign, code) for sign, code in zip(signs, codes)]

    return _mean_of(encoding, scores)


def _gb18030(sign: str, code: bytes) -> float:
    """The first level of GB 2312 holds the 3,755 usual characters, in rows 0xB0 to 0xD7; the second rarer ones."""
    if len(code) != 2 or code[1] < 0xA1:
        return 0.2
    return 1.0 if 0xB0 <= code[0] <= 0xD7 else 0.7 if code[0] in (0xA1, 0xA3) or 0xD8 <= code[0] <= 0xF7 else 0.2


def _big5(sign: str, code: bytes) -> float:
    """The usual 5,401 characters stand in rows 0xA4 to 0xC6."""
    return 1.0 if 0xA4 <= code[0] <= 0xC6 else 0.7 if code[0] == 0xA1 else 0.4


def _cp932(sign: str, code: bytes) -> float:
    """Kana and the first level of kanji; kana of half width, which any byte can be, say nothing."""
    return 0.1 if len(code) == 1 else 1.0 if code[0] in (0x82, 0x83) else 0.8 if 0x88 <= code[0] <= 0x97 else 0.3


def _letters(text: str, signs: list[str]) -> list[float]:
    """Western text by accented letters within words of Latin letters, and usual signs. No small word goes on with a
    capital, and hardly a word has no plain letter."""
    letters = [sign for sign in signs if sign.isalpha() and sign not in _SYMBOLS]
    if re.search(r"[a-zà-öø-ÿß][À-ÖØ-Þ]|[^\W\d_][À-ÖØ-Þ][a-zà-öø-ÿß]|[^\x00-\x7f]{3}", text):
        return []
    if re.search(r"[A-Za-z][–—‘“”„…¡¿£¢¤¥¦†‡•][A-Za-zà-ÿ]", text):
        return []
    if len(letters) > 1 and not re.search(r"[A-Za-z]", text):
        return []
    return [1.0 if sign in _LATIN else 0.9 if sign in _SYMBOLS else 0.4 if sign.isalpha() else 0.0 for sign in signs]


def _cyrillic(text: str, signs: list[str]) -> list[float]:
    if not all(re.match(r"[А-Яа-яЁё№]", sign) for sign in signs):
        return []
    words = re.findall(r"[^\W\d_]+", text)
    return [float(all(re.fullmatch(r"[А-ЯЁ]?[а-яё]{2,}|[А-ЯЁ]{3,}|[a-zA-Z]+", one) for one in words))]


_OLD = 0.85
"""What the encodings of old computers count, next to those of Windows."""
_PLAUSIBLE: dict[str, Callable[[bytes], float]] = {
    "gb18030": _of_pairs("gb18030", _gb18030),
    "big5": _of_pairs("big5", _big5),
    "cp932": _of_pairs("cp932", _cp932),
    "cp1252": _mean_of("cp1252", _letters),
    "cp1251": _mean_of("cp1251", _cyrillic),
    "mac_roman": _mean_of("mac_roman", _letters, _OLD),
    "cp850": _mean_of("cp850", _letters, _OLD),
}


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
