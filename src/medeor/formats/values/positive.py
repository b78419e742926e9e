"""Which of two classes is looked for: the words that people write for absence and presence, as a table."""

from __future__ import annotations

import re
from itertools import pairwise

from medeor.formats.values.missing import plain, without_accents

# A language a line, in the order: words for absence; for presence; those that negate what follows them.
_WORDS = {
    "English": (
        "no|none|false|negative|neg|absent|absence|normal|healthy|control|controls|ctrl|ctl|benign|unaffected|"
        "undetected|undetectable|clear|clean|well|unremarkable|asymptomatic|uninfected|disease free|tumor free|"
        "tumour free|alive|survived|survivor|wt|wild type|wildtype|low|inactive|nonresponder|off|hc|nc|cn|"
        "cognitively normal|typically developing|healthy control|nevus|naevus|innocuous|safe|nontoxic|stable disease",
        "yes|true|positive|pos|present|presence|abnormal|ill|sick|diseased|disease|unhealthy|case|cases|patient|"
        "patients|malignant|malignancy|cancer|cancerous|carcinoma|tumor|tumour|melanoma|sarcoma|lymphoma|glioma|"
        "metastasis|metastatic|neoplastic|pneumonia|covid|covid 19|tuberculosis|tb|infected|infection|affected|"
        "detected|lesion|finding|fracture|fractured|oedema|edema|haemorrhage|hemorrhage|effusion|diabetic|diabetes|"
        "symptomatic|pathological|pathologic|pathology|dead|died|deceased|death|event|relapse|relapsed|recurrence|"
        "recurrent|progression|mut|mutant|mutated|mutation|variant|high|active|responder|on|toxic|ad|alzheimer|"
        "dementia|pd|mci|asd|scz|mdd|adhd|impaired|suspicious|severe|hit|blocker|inhibitor|anomaly|anomalous",
        "no|not|non|without|negative|neg|free|absent|absence|never|lacks|excluded|nil|zero",
    ),
    "Chinese": (
        "阴性|陰性|阴|陰|良性|良|正常|健康|对照|對照|对照组|對照組|健康对照|否|无|無|假|没有|沒有|未见|未見|阴|存活|生存|"
        "野生型|低|不是|没|沒|未患病|未感染|无病|無病|低危|低风险|低風險|未检出|未檢出|未突变|未突變|非",
        "阳性|陽性|阳|陽|恶性|惡性|恶|惡|异常|異常|患病|患者|病例|病例组|病例組|病人|是|有|真|癌|癌症|肿瘤|腫瘤|肺炎|感染|病变|"
        "病變|病灶|转移|轉移|复发|復發|死亡|骨折|出血|突变|突變|高|高危|高风险|高風險|检出|檢出|糖尿病|疾病|症状|狀|水肿|水腫|积液|積液",
        "未见|未見|未|无|無|非|没有|沒有|没|沒|不|否认|否認|排除|除外",
    ),
    "French": (
        "non|faux|négatif|négative|absent|absente|absence|normal|normale|normaux|sain|saine|sains|témoin|témoins|"
        "bénin|bénigne|aucun|aucune|indemne|vivant|vivante|sauvage|contrôle|bas|basse|faible|rien",
        "oui|vrai|positif|positive|présent|présente|présence|anormal|anormale|malade|malades|malin|maligne|cancer|"
        "tumeur|atteint|atteinte|cas|lésion|pathologique|décédé|décédée|mort|infecté|infectée|muté|mutée|haut|élevé|"
        "élevée|maladie|oedème|œdème|fracture|hémorragie",
        "non|pas|sans|aucun|aucune|ni|absence|ne|nul|nulle",
    ),
    "German": (
        "nein|falsch|negativ|abwesend|normal|gesund|gesunde|gesunder|kontrolle|kontrollen|kontrollgruppe|gutartig|"
        "gutartige|benigne|unauffällig|unauffaellig|kein|keine|ohne|lebend|wildtyp|niedrig|o.b|ohne befund|ohne "
        "pathologischen befund|opb|nicht vorhanden",
        "ja|wahr|richtig|positiv|vorhanden|abnormal|krank|kranke|kranker|erkrankt|patient|patienten|bösartig|"
        "bösartige|boesartig|maligne|krebs|tumor|karzinom|auffällig|auffaellig|befallen|befund|läsion|laesion|"
        "verstorben|gestorben|tot|infiziert|mutiert|hoch|fall|fälle|pathologisch|krankhaft|ödem|blutung|fraktur",
        "nicht|kein|keine|keinen|keiner|ohne|frei",
    ),
    "Spanish": (
        "no|falso|negativo|negativa|ausente|ausencia|normal|sano|sana|sanos|control|controles|benigno|benigna|"
        "ninguno|ninguna|vivo|viva|silvestre|bajo|baja|libre|sin hallazgos|sin alteraciones",
        "si|sí|verdadero|cierto|positivo|positiva|presente|presencia|anormal|enfermo|enferma|enfermos|maligno|"
        "maligna|cáncer|tumor|lesión|afectado|afectada|caso|casos|paciente|patológico|patológica|muerto|muerta|"
        "fallecido|fallecida|infectado|infectada|mutado|alto|alta|enfermedad|hallazgo|fractura|hemorragia|edema",
        "no|sin|ningun|ninguna|ninguno|ausencia|nunca|libre",
    ),
    "Italian": (
        "no|falso|negativo|negativa|assente|assenza|normale|sano|sana|sani|controllo|controlli|benigno|benigna|"
        "nessuno|nessuna|vivo|viva|basso|bassa",
        "si|sì|vero|positivo|positiva|presente|presenza|anormale|anomalo|malato|malata|maligno|maligna|cancro|"
        "tumore|lesione|affetto|affetta|caso|patologico|patologica|morto|morta|deceduto|infetto|mutato|alto|malattia",
        "non|senza|nessun|nessuna|assenza",
    ),
    "Portuguese": (
        "não|falso|negativo|negativa|ausente|ausência|normal|saudável|sadio|são|controle|benigno|benigna|nenhum|"
        "nenhuma|baixo|baixa",
        "sim|verdadeiro|positivo|positiva|presente|presença|anormal|doente|doentes|maligno|maligna|câncer|cancro|"
        "tumor|lesão|afetado|caso|patológico|morto|óbito|infectado|mutado|alto|alta|doença",
        "não|sem|nenhum|nenhuma|ausência",
    ),
}  # fmt: skip
_PAIRS = (
    "0 1|n y|n p|n j|n o|n s|f t|f v|f w|b m|- +|× √|✗ ✓|✘ ✔|❌ ✅|☐ ☑|良 恶|良 惡|阴 阳|陰 陽|"
    "无 有|無 有|否 是|假 真|非 是|nc ad|cn ad|hc ad|nc pd|hc pd|hc pt|hc sz|td asd|c p|wt mt|wt vt|ref alt|nd t2d|nr r"
)  # fmt: skip
"""Codes that say something as a pair alone: of `F` and `T` the first is no, of `F` and `M` neither."""
_ANSWERS = (
    "no|n|false|f|0|neg|negative|-|否|无|無|阴性|陰性|阴|non|faux|nein|falsch|negativ|falso|negativo|negatif|nao",
    "yes|y|true|t|1|pos|positive|+|是|有|阳性|陽性|阳|oui|vrai|ja|wahr|positiv|si|verdadero|positivo|positif|sim",
)
"""What only says no or yes, so that `no` and `n` are one answer."""
_PREFIXES = ("in", "un", "non", "nicht", "im", "ir", "不", "非", "无", "無", "未")
"""What makes a word the absence of the other class's."""


def positive_of(first: str, second: str) -> int | None:
    """Which of two class names is looked for, 0 or 1: the presence of what the other denies (`active` beside
    `inactive`), or of what its own words say is there (`阳性`, `malade`). None where the words decide nothing."""
    texts = [_plain(first), _plain(second)]
    if (pair := " ".join(texts)) in _PAIR_SET:
        return 1
    if " ".join(reversed(texts)) in _PAIR_SET:
        return 0
    answers = [answer_of(first), answer_of(second)]
    if None not in answers and answers[0] != answers[1]:
        return int(answers[1] == 1)
    signs = [_sign(text) for text in texts]
    for place in (0, 1):
        # What is not healthy is looked for; what is not active is not.
        if _denies(texts[place], texts[1 - place]):
            return place if signs[1 - place] < 0 else 1 - place
    if (numbers := _numbers(pair, texts)) is not None:
        return numbers
    return None if signs[0] == signs[1] else int(signs[1] > signs[0])


def answer_of(text: str) -> int | None:
    """0 for a word or code that only says no, 1 for yes; None for all that names a class."""
    return _ANSWER_OF.get(without_accents(plain(text)).replace("−", "-"))


def _plain(text: str) -> str:
    text = plain(text).replace("−", "-").replace("–", "-")
    if re.fullmatch(r"[(\[]?\s*([+-]+)\s*[)\]]?", text):
        return "+" if "+" in text else "-"
    return " ".join(without_accents(text).replace("_", " ").split())


def _denies(text: str, other: str) -> bool:
    """Whether a text is the other with a negation: before it, or as `-free` or a minus sign behind it."""
    if len(other) < 2:
        return False
    rest = re.sub(r"[\s-]+", " ", text)
    other = re.sub(r"[\s-]+", " ", other)
    glued = any(text == prefix + other for prefix in _PREFIXES)
    before = any(rest in (f"{word} {other}", word + other) for word in _NEGATIONS if len(word) > 1)
    return glued or before or rest in (f"{other} free", f"{other} negative", f"{other} neg")


def _numbers(pair: str, texts: list[str]) -> int | None:
    """Of 0, or a number below, and a number above the second is looked for, also behind a name (`grade 0`); a plus
    sign, where the other has a minus sign."""
    ends = [re.fullmatch(r"(.*?)([+-]?\d+|[+-])", text) for text in texts]
    if not all(ends) or ends[0][1].strip() != ends[1][1].strip():  # type: ignore[index]
        return None
    values = [{"+": 1, "-": -1}.get(end[2]) or _whole(end[2]) for end in ends]  # type: ignore[index]
    above = [value is not None and value > 0 for value in values]
    return None if above[0] == above[1] else int(above[1])


def _whole(text: str) -> int:
    return int(text) if text.lstrip("+-") else 0


def _sign(text: str) -> int:
    """1 where a text says that something is there, -1 where it is not, 0 where it says neither."""
    if text in _ABSENT and text in _PRESENT:
        return 0
    if text in _ABSENT or text in _PRESENT:
        return 1 if text in _PRESENT else -1
    if any("\u4e00" <= sign <= "\u9fff" for sign in text):
        return _chinese_sign(text)
    words = re.findall(r"[^\W_]+", text)
    for place, word in enumerate(words):
        if word in _NEGATIONS:
            rest = [one for one in words[place + 1 :] if one not in _NEGATIONS]
            healthy = any(one in _ABSENT for one in rest) and not any(one in _PRESENT for one in rest)
            return 1 if healthy and len(word) > 1 else -1
    joined = {" ".join(pair) for pair in pairwise(words)} | set(words)
    return _balance(bool(joined & _LONG_ABSENT), bool(joined & _LONG_PRESENT))


def _chinese_sign(text: str) -> int:
    for word in _CHINESE_NEGATIONS:
        if text.startswith(word):
            rest = text[len(word) :]
            sign = _chinese_sign(rest) if rest else 0
            # What is not typical is no absence: such a word denies only what is known to be a finding, or healthy.
            return -sign if sign or word == "不" else -1
    return _balance(_holds(text, _CHINESE_ABSENT), _holds(text, _CHINESE_PRESENT))


def _holds(text: str, words: frozenset[str]) -> bool:
    return any(word in text for word in words if len(word) > 1) or text in words


def _balance(absent: bool, present: bool) -> int:
    return 0 if absent and present else int(present) - int(absent)


def _column(place: int, *languages: str) -> frozenset[str]:
    chosen = languages or tuple(_WORDS)
    return frozenset(_plain(word) for language in chosen for word in _WORDS[language][place].split("|"))


_ANSWER_OF = {word: answer for answer, line in enumerate(_ANSWERS) for word in line.split("|")}
_ABSENT, _PRESENT, _NEGATIONS = _column(0), _column(1), _column(2)
_LONG_ABSENT, _LONG_PRESENT = (frozenset(word for word in words if len(word) > 2) for words in (_ABSENT, _PRESENT))
_CHINESE_ABSENT, _CHINESE_PRESENT = _column(0, "Chinese"), _column(1, "Chinese")
_CHINESE_NEGATIONS = tuple(sorted(_column(2, "Chinese"), key=len, reverse=True))
_PAIR_SET = frozenset(" ".join(map(_plain, pair.split())) for pair in _PAIRS.split("|"))
