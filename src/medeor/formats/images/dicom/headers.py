"""What a DICOM header says of a person, by the name of the field, and of the acquisition, by its value."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from medeor.formats.images.image import DAMAGED, is_own_bug

UNREADABLE: tuple[type[Exception], ...] = (*DAMAGED, BytesLengthException, InvalidDicomError)
"""What pydicom raises when it meets bytes that are not what they should be."""

DEEPEST = 24
"""Sequences within sequences that are looked into."""

IDENTIFYING = frozenset(
    """
    PatientName PatientID IssuerOfPatientID OtherPatientIDs OtherPatientNames PatientBirthName
    PatientMotherBirthName PatientBirthDate PatientBirthTime PatientBirthDateInAlternativeCalendar
    PatientDeathDateInAlternativeCalendar PatientAddress PatientTelephoneNumbers PatientTelecomInformation
    CountryOfResidence RegionOfResidence MilitaryRank BranchOfService MedicalRecordLocator
    InsurancePlanIdentification ReferencedPatientPhotoSequence Occupation PatientReligiousPreference
    ResponsiblePerson ResponsibleOrganization PatientComments AdditionalPatientHistory LastMenstrualDate
    CurrentPatientLocation PatientInstitutionResidence VisitComments AdmissionID IssuerOfAdmissionID
    ServiceEpisodeID ServiceEpisodeDescription AdmittingDate AdmittingTime DischargeDate
    AdmittingDiagnosesDescription AccessionNumber StudyID StudyDate SeriesDate AcquisitionDate ContentDate
    OverlayDate CurveDate AcquisitionDateTime InstanceCreationDate DateOfSecondaryCapture FrameAcquisitionDateTime
    FrameReferenceDateTime StartAcquisitionDateTime EndAcquisitionDateTime RadiopharmaceuticalStartDateTime
    RadiopharmaceuticalStopDateTime ContentCreatorName PerformedProcedureStepStartDate
    PerformedProcedureStepEndDate PerformedProcedureStepStartDateTime PerformedProcedureStepEndDateTime
    PerformedProcedureStepID ScheduledProcedureStepStartDate ScheduledProcedureStepEndDate
    ScheduledProcedureStepStartDateTime ScheduledProcedureStepID ScheduledStationName ScheduledStudyStartDate
    StudyVerifiedDate StudyReadDate StudyArrivalDate StudyCompletionDate IssueDateOfImagingServiceRequest
    RequestedProcedureID RequestedProcedureComments ImagingServiceRequestComments
    FillerOrderNumberImagingServiceRequest PlacerOrderNumberImagingServiceRequest OrderEnteredBy
    OrderEntererLocation OrderCallbackPhoneNumber OrderCallbackTelecomInformation ReasonForStudy
    ReasonForTheRequestedProcedure InstitutionName InstitutionAddress InstitutionalDepartmentName
    InstitutionCodeSequence StationName NetworkID DeviceSerialNumber DeviceUID GantryID GeneratorID DetectorID
    PlateID CassetteID PerformedStationName PerformedLocation PerformedStationAETitle ScheduledStationAETitle
    RetrieveAETitle StationAETitle ReferringPhysicianName ReferringPhysicianAddress
    ReferringPhysicianTelephoneNumbers ReferringPhysicianIdentificationSequence ConsultingPhysicianName
    ConsultingPhysicianIdentificationSequence PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence
    PerformingPhysicianName PerformingPhysicianIdentificationSequence NameOfPhysiciansReadingStudy
    PhysiciansReadingStudyIdentificationSequence OperatorsName OperatorIdentificationSequence RequestingPhysician
    RequestingPhysicianIdentificationSequence RequestingService ScheduledPerformingPhysicianName PersonName
    PersonAddress PersonTelephoneNumbers PersonIdentificationCodeSequence PersonTelecomInformation
    VerifyingObserverName VerifyingOrganization HumanPerformerName HumanPerformerOrganization
    NamesOfIntendedRecipientsOfResults DistributionName DistributionAddress InterpretationAuthor
    InterpretationRecorder InterpretationTranscriber InterpretationText InterpretationIDIssuer ResultsComments
    ResultsIDIssuer TextComments TextString ImageComments StudyComments IdentifyingComments AcquisitionComments
    FrameComments ImagePresentationComments CommentsOnThePerformedProcedureStep CommentsOnRadiationDose
    ModifiedImageDescription ReviewerName CameraOwnerName MakerNote GPSLatitude GPSLongitude
    GPSDateStamp GPSAreaInformation ClinicalTrialSubjectID ClinicalTrialSubjectReadingID ClinicalTrialSiteID
    ClinicalTrialSiteName ClinicalTrialSponsorName ClinicalTrialCoordinatingCenterName SpecimenIdentifier
    ContainerIdentifier SpecimenAccessionNumber Date DateTime VerificationDateTime
    """.split()  # noqa: SIM905
)
"""The main attributes of the Basic Application Level Confidentiality Profile (DICOM PS3.15, table E.1-1) by which a
person, a place or a day can be found. Its unique identifiers, which every file has, its times of day and its technical
descriptions are left out; a description counts when the patient's own name or number stands in it."""

FACTS = {
    "Manufacturer": "manufacturer", "ManufacturerModelName": "model", "SoftwareVersions": "software", "KVP": "kvp",
    "XRayTubeCurrent": "tube_current", "Exposure": "exposure", "ConvolutionKernel": "kernel",
    "SliceThickness": "slice_thickness", "BodyPartExamined": "body_part", "ViewPosition": "view",
    "PatientPosition": "patient_position", "ImageLaterality": "laterality", "ContrastBolusAgent": "contrast",
    "MagneticFieldStrength": "field_strength", "EchoTime": "echo_time", "RepetitionTime": "repetition_time",
    "ScanningSequence": "sequence", "ImageType": "image_type", "ConversionType": "conversion",
    "DetectorType": "detector", "Grid": "grid", "BitsStored": "bits", "PhotometricInterpretation": "photometric",
    "NumberOfFrames": "frames", "LossyImageCompressionRatio": "compression_ratio",
    "BurnedInAnnotation": "burned_in_annotation", "PixelAspectRatio": "pixel_aspect",
}  # fmt: skip
"""Attributes of the acquisition that identify nobody, and what medeor calls them."""


def settle(data: Dataset, depth: int = 0) -> None:
    """Decodes every attribute once, so that no later look at one can fail. A decimal comma becomes a point; what cannot
    be decoded is removed, and its keyword noted in `data.lost`."""
    lost = set()
    for tag in list(data.keys()):
        if tag.group == 0x7FE0:
            continue
        try:
            element = data[tag]
        except UNREADABLE:
            if not _mended(data, tag):
                lost.add(keyword_for_tag(tag))
            continue
        if element.VR == "SQ":
            if depth == DEEPEST:
                data.pop(tag, None)
                continue
            for item in element.value or ():
                settle(item, depth + 1)
    object.__setattr__(data, "lost", frozenset(lost))


def _mended(data: Dataset, tag: BaseTag) -> bool:
    """Replaces a number that could not be decoded by what it says with a point for its comma; else removes it."""
    raw = None
    with suppress(*UNREADABLE):
        raw = data.get_item(tag)
    content = getattr(raw, "value", None)
    kind = getattr(raw, "VR", None) or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN")
    data.pop(tag, None)
    if not isinstance(content, bytes) or kind not in ("DS", "IS"):
        return False
    found = numbers(content.decode("latin-1").split("\\"))
    if not found or not all(math.isfinite(value) for value in found):
        return False
    try:
        data.add_new(tag, kind, [f"{value:.10g}" for value in found])
        data[tag]
    except UNREADABLE:
        data.pop(tag, None)
        return False
    return True


def numbers(value: Any) -> list[float]:
    """Every number of an attribute; NaN for what is none."""
    if value is None or value == "" or value == b"":
        return []
    found = []
    for part in value if isinstance(value, MultiValue | list | tuple) else [value]:
        try:
            found.append(float(part.strip(" \0").replace(",", ".") if isinstance(part, str) else part))
        except (TypeError, ValueError, OverflowError):
            found.append(math.nan)
    return found


def number(value: Any, otherwise: float) -> float:
    """The first number of an attribute that may have none, one or several."""
    found = numbers(value)
    return found[0] if found and not math.isnan(found[0]) else otherwise


_PLACEHOLDER = re.compile(
    r"(anon\w*|de-?identified|pseudo\w*|removed|redacted|unknown|unspecified|none|no_?name|null|n/?a|not available"
    r"|[x*0._^\-\s]*|19000101|18000101)",
    re.IGNORECASE,
)
_TEXT = {"LO", "SH", "ST", "LT", "UT", "UC", "PN", "CS", "AE", "UN"}


def is_placeholder(text: str) -> bool:
    """Whether a value is empty or only says that something was taken out."""
    return _PLACEHOLDER.fullmatch(text.strip(" \0^")) is not None


def identifiers(data: Dataset) -> tuple[str, ...]:
    """Names of the fields that hold something by which a person can be found, each with the sequences that it lies
    in (`RequestAttributesSequence/AccessionNumber`); a private field is named by its tag.

    A pseudonym counts as a number, unless the file states that the identity was removed
    (PatientIdentityRemoved) and gives name and number alike."""
    own = _words_of_patient(data)
    pseudonym = str(data.get("PatientIdentityRemoved") or "") == "YES" and str(data.get("PatientName") or "") in (
        "", str(data.get("PatientID") or ""),
    )  # fmt: skip
    found = []
    for name, element in _filled(data):
        keyword, text = element.keyword, str(element.value)
        if pseudonym and name in ("PatientName", "PatientID"):
            continue
        if keyword in ("BurnedInAnnotation", "RecognizableVisualFeatures"):
            if text == "YES":
                found.append(name)
        elif (
            keyword in IDENTIFYING
            or element.VR == "PN"
            or (own is not None and element.VR in _TEXT and own.search(text))
        ):
            found.append(name)
    return tuple(sorted(set(found)))


def _filled(data: Dataset, inside: str = "") -> Iterator[tuple[str, DataElement]]:
    """Every element with a value, in every sequence, and its name."""
    for tag in list(data.keys()):
        if tag.group == 0x7FE0:
            continue
        try:
            element = data[tag]
            name = inside + (element.keyword or str(tag).replace(" ", ""))
            if element.VR == "SQ":
                if element.keyword in IDENTIFYING and element.value:
                    yield name, element
                for item in element.value or ():
                    yield from _filled(item, f"{name}/")
                continue
            value = element.value
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
            if value is not None and not is_placeholder(text):
                yield name, element
        except UNREADABLE as error:
            if is_own_bug(error):
                raise
            # A value that cannot be decoded by its own type cannot be judged.
            continue


def _words_of_patient(data: Dataset) -> re.Pattern[str] | None:
    """Finds the patient's name, in whole words, or number."""
    words = set()
    for keyword in ("PatientName", "OtherPatientNames", "PatientBirthName"):
        words |= {word for word in re.split(r"[\^=\s,;_\\]+", str(data.get(keyword) or "")) if len(word) >= 4}
    for keyword in ("PatientID", "OtherPatientIDs", "AccessionNumber"):
        number = str(data.get(keyword) or "").strip()
        words |= {number} if len(number) >= 5 else set()
    words = {re.escape(word) for word in words if not is_placeholder(word)}
    return re.compile(rf"(?<![^\W_])({'|'.join(sorted(words))})(?![^\W_])", re.IGNORECASE) if words else None


def acquisition_facts(data: Dataset) -> dict[str, str]:
    """How the image was acquired and stored: nothing that identifies a person, a place or a day."""
    facts = {"file_type": "DICOM"}
    for keyword, name in FACTS.items():
        with suppress(*UNREADABLE):
            value = data.get(keyword)
            if value is not None and str(value) != "":
                facts[name] = str(value)
    syntax = data.file_meta.get("TransferSyntaxUID")
    if syntax is not None:
        facts["compression"] = syntax.name
    return facts
