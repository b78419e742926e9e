"""Identifiers: found wherever they lie, told by name, and not seen where there are none."""

import numpy as np
import pydicom
import pytest
from pydicom.datadict import keyword_dict
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from formats.images.dicom_files import data_set
from medeor.formats.images.dicom.headers import FACTS, IDENTIFYING, acquisition_facts, identifiers
from medeor.formats.images.dicom.read import patient_digest

PIXELS = np.zeros((2, 2), np.uint8)


def test_every_keyword_is_in_the_dictionary_of_the_standard() -> None:
    assert set(FACTS) <= set(keyword_dict)
    assert set(IDENTIFYING) <= set(keyword_dict)
    assert not set(FACTS) & IDENTIFYING


def test_a_clean_header_has_none() -> None:
    data = data_set(
        PIXELS, Modality="MR", Manufacturer="Maker", PatientName="", PatientID="ANONYMOUS", StudyDate="",
        StudyDescription="Brain", SeriesDescription="T1", PatientSex="F", PatientAge="040Y", StudyTime="101500",
    )  # fmt: skip
    assert identifiers(data) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [("PatientName", "Doe^Jane"), ("PatientBirthDate", "19700102"), ("InstitutionName", "Hospital"),
     ("StudyDate", "20200131"), ("OperatorsName", "Roe^R"), ("DeviceSerialNumber", "77"), ("PatientAddress", "Road 1"),
     ("ImageComments", "seen by Roe")],
)  # fmt: skip
def test_each_is_told_by_name(name: str, value: str) -> None:
    assert identifiers(data_set(PIXELS, **{name: value})) == (name,)


def test_they_are_found_at_any_depth_of_any_sequence() -> None:
    inner, middle, private = Dataset(), Dataset(), Dataset()
    inner.ReferringPhysicianName = "Roe^Richard"
    middle.ReferencedStudySequence = Sequence([Dataset(), inner])
    private.PatientID = "4711"
    data = data_set(PIXELS, RequestAttributesSequence=Sequence([middle]))
    block = data.private_block(0x0099, "Maker", create=True)
    block.add_new(0x01, "SQ", Sequence([private]))
    assert identifiers(data) == (
        "(0099,1001)/PatientID",
        "RequestAttributesSequence/ReferencedStudySequence/ReferringPhysicianName",
    )


def test_the_patients_own_name_and_number_are_found_in_other_fields() -> None:
    data = data_set(PIXELS, PatientName="Doe-Smith^Jane", PatientID="MRN-00471", StudyDescription="JANE, chest")
    block = data.private_block(0x0099, "Maker", create=True)
    block.add_new(0x02, "LO", "id MRN-00471")
    block.add_new(0x03, "LO", "janet")
    assert identifiers(data) == ("(0099,1002)", "PatientID", "PatientName", "StudyDescription")


def test_a_declared_pseudonym_is_none_but_a_name_left_behind_is() -> None:
    gone = {"PatientIdentityRemoved": "YES", "PatientID": "SET-0007"}
    assert identifiers(data_set(PIXELS, PatientName="SET-0007", **gone)) == ()
    assert identifiers(data_set(PIXELS, PatientName="Doe^Jane", **gone)) == ("PatientID", "PatientName")


def test_names_burnt_into_the_pixels_count() -> None:
    assert identifiers(data_set(PIXELS, BurnedInAnnotation="YES")) == ("BurnedInAnnotation",)
    assert identifiers(data_set(PIXELS, BurnedInAnnotation="NO")) == ()


def test_a_value_that_does_not_fit_its_type_does_no_harm() -> None:
    data = data_set(PIXELS, PatientName="Doe^Jane")
    data[0x00181110] = pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag(0x00181110), "DS", 3, b"abc", 0, False, True
    )  # fmt: skip
    assert identifiers(data) == ("PatientName",)


def test_facts_tell_of_the_machine_and_of_nobody() -> None:
    data = data_set(PIXELS, Manufacturer="Maker", KVP=120, PatientName="Doe^Jane", InstitutionName="Hospital")
    facts = acquisition_facts(data)
    assert facts["manufacturer"] == "Maker"
    assert float(facts["kvp"]) == 120
    assert facts["compression"] == "Explicit VR Little Endian"
    assert "Doe^Jane" not in facts.values()
    assert "Hospital" not in facts.values()


def test_a_patient_is_known_by_number_and_issuer() -> None:
    one, same = data_set(PIXELS, PatientID="7"), data_set(PIXELS, PatientID=" 7 ")
    other = data_set(PIXELS, PatientID="7", IssuerOfPatientID="B")
    assert patient_digest(one) == patient_digest(same) != patient_digest(other)
    assert patient_digest(data_set(PIXELS)) == patient_digest(data_set(PIXELS, PatientID="ANON")) == ""
