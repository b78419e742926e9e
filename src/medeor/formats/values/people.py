"""Headings of columns that identify patients."""

from __future__ import annotations

import re

_PEOPLE = {
    "patient", "patients", "patienten", "patiente", "pat", "subject", "subjects", "subj", "participant", "participants",
    "person", "individual", "proband", "probanden", "sujet", "paciente", "pacientes", "paziente", "mrn", "pid", "empi",
    "ipp", "nip", "patientid", "subjectid", "patid", "idpatient", "patientennummer", "patientennr",
}  # fmt: skip
_ABOUT = {
    "id", "ids", "no", "nr", "num", "number", "nummer", "numero", "numéro", "código", "codigo", "code", "key", "name",
    "identifier", "uid", "uuid", "index", "hash", "de", "du", "del", "der", "n", "n°", "nº", "ref", "anon", "pseudo",
    "pseudonym", "study", "anonymous", "anonymized", "record", "medical",
}  # fmt: skip
_PEOPLE_HAN = re.compile(r"患者|病人|受试者|病历号|病案号|住院号|门诊号|登记号|환자|被験者")
_ABOUT_HAN = re.compile(
    r"(患者|病人|受试者|환자|被験者)?[\s_]*"
    r"(id|编号|编码|号|号码|病历号|病案号|住院号|门诊号|登记号|姓名|番号|번호|名)?",
    re.IGNORECASE,
)


def names_people(column: str) -> bool:
    """Whether a heading says that its column identifies patients, and nothing else of them."""
    if _PEOPLE_HAN.search(column):
        return _ABOUT_HAN.fullmatch(column.strip()) is not None
    words = re.findall(r"[^\W\d_]+°?", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower())
    return any(word in _PEOPLE for word in words) and all(word in _PEOPLE | _ABOUT for word in words)
