"""Simulated hospitals as real files, each of which says that it is simulated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from medeor.contracts import Message, UserError
from medeor.files import exists, replacing
from medeor.simulate.hospital import Hospital
from medeor.simulate.images import Array

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MARK = "SIMULATED"
NOTICE = "SIMULATED.txt"
HOUNSFIELD = (6.5, -1000.0)
"""Slope and intercept from the grey values of simulated CT to Hounsfield units."""
MILLIMETRES = {"xray": 350.0, "ultrasound": 40.0, "ct": 40.0}
"""The width that an image covers."""

_DICOM = {"xray": ("1", "CR"), "ultrasound": ("6.1", "US"), "ct": ("2", "CT")}
"""The end of the storage class in DICOM, and the modality."""

Format = Literal["png", "dicom", "nifti", "npz"]


def write(hospital: Hospital, folder: Path, format: Format = "png") -> Path:  # noqa: A002
    """Writes the images and `labels.csv` (the table, with a column `image` for the file; in an npz, `index` within its
    part), `truth.csv`, and the notice that all of it is simulated. Returns the folder.

    `png`: 2-D; `dicom`: a file an image, a folder of slices a volume; `nifti`; `npz`: one file with the arrays that
    MedMNIST has. Raises: UserError where the format cannot hold what was asked, or the folder is not empty."""
    folder = Path(folder)
    writers = {"png": _png, "dicom": _dicom, "nifti": _nifti}
    if format not in (*writers, "npz"):
        raise UserError("simulate.write.format", format=format, formats=(*writers, "npz"))
    if format == "png" and hospital.images.ndim == 4:
        raise UserError("simulate.write.volume")
    if format == "npz" and hospital.planted.unreadable:
        raise UserError("simulate.write.unreadable")
    if folder.exists() and any(folder.iterdir()):
        raise UserError("simulate.write.not-empty", folder=folder)
    with replacing(folder) as new:
        (new / "images").mkdir(parents=True)
        facts = {"count": len(hospital), "kind": hospital.kind, "seed": hospital.seed}
        (new / NOTICE).write_text(f"{MARK}: {Message('simulate.write.notice', **facts)}\n", encoding="utf-8")
        if format == "npz":
            table = _npz(hospital, new)
        else:
            names = [writers[format](hospital, number, new / "images") for number in range(len(hospital))]
            images = pl.Series("image", [f"images/{name}" for name in names])
            table = hospital.table.select("case_id", images, pl.exclude("case_id"))
            for number in np.flatnonzero(hospital.truth["unreadable"].to_numpy()).tolist():
                _cut_off(new / "images" / names[number])
        table.write_csv(new / "labels.csv")
        truth = hospital.truth
        if format != "dicom":
            truth = truth.with_columns(identified=pl.lit(False))
        truth.write_csv(new / "truth.csv")
    return folder


def is_simulated(source: object) -> bool:
    """Whether a source is known to be simulated: a hospital, a table with a column `simulated`, a folder or file that
    carries the notice, or a file (npz, DICOM, NIfTI, PNG, CSV) that says so itself."""
    if isinstance(source, Hospital):
        return True
    if isinstance(source, pl.DataFrame):
        return "simulated" in source.columns and _says_so(source)
    if not isinstance(source, (str, Path)) or not exists(source):
        return False
    path = Path(source).absolute()
    if any((folder / NOTICE).is_file() for folder in (path, *path.parents[:3])):
        return True
    return path.is_file() and _marked(path)


def _marked(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith(".npz"):
        with np.load(path, allow_pickle=False) as file:
            return "simulated" in file.files
    if name.endswith(".csv"):
        try:
            header = pl.read_csv(path, n_rows=1000, infer_schema=False)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return False  # in another dialect or encoding: medeor simulates none such
        return "simulated" in header.columns and _says_so(header)
    # PNG text, DICOM Manufacturer and the description of NIfTI all lie near the start of a file.
    import gzip

    with gzip.open(path) if name.endswith(".gz") else path.open("rb") as file:
        start = file.read(4096)
    return f"{MARK} by medeor".encode() in start


def _says_so(table: pl.DataFrame) -> bool:
    return bool(len(table) and (table["simulated"].cast(pl.String).str.to_lowercase() == "true").all())


def _image(hospital: Hospital, number: int) -> Array:
    """One image as its site stores it: some add a black margin; a frame that is a planted shortcut stays outermost."""
    image = hospital.images[number]
    if image.ndim == 3:
        return image
    margin = hospital.scanners[ord(hospital.table["site"][number]) - ord("A")].margin
    framed = hospital.planted.shortcut == "border" and hospital.truth["shortcut"][number]
    return np.pad(image, margin, mode="edge" if framed else "constant")


def _png(hospital: Hospital, number: int, folder: Path) -> str:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    notice = PngInfo()
    notice.add_text("Software", f"{MARK} by medeor")
    name = f"{hospital.table['case_id'][number]}.png"
    Image.fromarray(_image(hospital, number)).save(folder / name, pnginfo=notice)
    return name


def _nifti(hospital: Hospital, number: int, folder: Path) -> str:
    import nibabel

    image = _image(hospital, number)
    volume = image if image.ndim == 3 else image[None]
    spacing = MILLIMETRES[hospital.kind] / hospital.images.shape[-1]
    values = volume.transpose(2, 1, 0)
    if hospital.kind == "ct":
        values = np.rint(values * HOUNSFIELD[0] + HOUNSFIELD[1]).astype(np.int16)
    # Columns run to the patient's left and rows to the back (LPS); NIfTI counts right and front as negative of that.
    file = nibabel.Nifti1Image(values, np.diag([-spacing, -spacing, spacing, 1.0]))
    file.header["descrip"] = f"{MARK} by medeor"
    name = f"{hospital.table['case_id'][number]}.nii.gz"
    nibabel.save(file, folder / name)
    return name


def _npz(hospital: Hospital, folder: Path) -> pl.DataFrame:
    arrays: dict[str, Array] = {}
    part = hospital.table["part"].to_numpy()
    for name, short in (("train", "train"), ("validation", "val"), ("test", "test")):
        arrays[f"{short}_images"] = hospital.images[part == name]
        arrays[f"{short}_labels"] = hospital.table["lesion"].to_numpy()[part == name, None].astype(np.uint8)
    (folder / "images").rmdir()
    np.savez_compressed(folder / f"simulated_{hospital.kind}.npz", **arrays, simulated=np.array(True))  # type: ignore[arg-type]
    return hospital.table.with_columns(index=pl.int_range(pl.len()).over("part"))


def _dicom(hospital: Hospital, number: int, folder: Path) -> str:
    image = _image(hospital, number)
    case = str(hospital.table["case_id"][number])
    if image.ndim == 2:
        _header(hospital, number, image, 0).save_as(folder / f"{case}.dcm", enforce_file_format=True)
        return f"{case}.dcm"
    (folder / case).mkdir()
    for index, plane in enumerate(image):
        data = _header(hospital, number, plane, index)
        data.save_as(folder / case / f"{index + 1:04d}.dcm", enforce_file_format=True)
    return case


def _header(hospital: Hospital, number: int, plane: Array, index: int) -> Dataset:
    """One DICOM file. Everything in it is the same for the same hospital: its unique identifiers come from the seed."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    known = hospital.table.row(number, named=True)
    parts = [f"{MARK} {hospital.kind} {hospital.seed}", known["patient_id"], known["case_id"], str(index)]
    storage, modality = _DICOM[hospital.kind]
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.{storage}"
    data.SOPInstanceUID = generate_uid(entropy_srcs=parts)
    data.StudyInstanceUID = generate_uid(entropy_srcs=parts[:2])
    data.SeriesInstanceUID = generate_uid(entropy_srcs=parts[:3])
    data.Modality = modality
    data.Manufacturer = f"{MARK} by medeor"
    data.ManufacturerModelName = f"Scanner {known['site']}"
    data.SeriesDescription = MARK
    data.ImageType = ["ORIGINAL", "PRIMARY"] + (["AXIAL"] if hospital.kind == "ct" else [])
    data.BodyPartExamined = "BREAST" if hospital.kind == "ultrasound" else "CHEST"
    data.BurnedInAnnotation = "NO"
    data.PatientID = known["patient_id"]
    data.PatientName = data.PatientBirthDate = data.StudyDate = data.StudyTime = ""
    data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.PatientSex, data.PatientAge = known["sex"], f"{known['age']:03d}Y"
    data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "simulated: there is no person"
    data.SeriesNumber, data.InstanceNumber = 1, index + 1
    if hospital.truth["identified"][number]:
        _identify(data, number)
    spacing = MILLIMETRES[hospital.kind] / hospital.images.shape[-1]
    if hospital.kind == "ct":
        data.RescaleSlope, data.RescaleIntercept, data.RescaleType = (*HOUNSFIELD, "HU")
        data.ImagePositionPatient = [0, 0, round(index * spacing, 6)]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.PixelSpacing, data.SliceThickness = [round(spacing, 6)] * 2, round(spacing, 6)
    elif hospital.kind == "xray":
        data.ViewPosition, data.ImagerPixelSpacing = "PA", [round(spacing, 6)] * 2
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = plane.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = np.ascontiguousarray(plane).tobytes() + b"\0" * (plane.size % 2)
    return data


def _identify(data: Dataset, number: int) -> None:
    """A person who does not exist, in the fields where a real one would stand."""
    del data.PatientIdentityRemoved, data.DeidentificationMethod
    data.PatientName = f"Fictional^{('Ada', 'Bao', 'Chloe', 'Dan', 'Eun')[number % 5]}"
    data.PatientID = f"{4_000_000 + 37 * number}"
    data.PatientBirthDate = f"19{40 + number % 50:02d}0{1 + number % 9}1{number % 10}"
    data.PatientAddress = f"{1 + number} Example Street, Nowhere"
    data.PatientTelephoneNumbers = f"555-01{number % 100:02d}"
    data.InstitutionName = "Example General Hospital"
    data.ReferringPhysicianName = "Example^Doctor"
    data.StudyDate = f"2020{1 + number % 12:02d}{1 + number % 28:02d}"
    data.AccessionNumber = f"EX{number:06d}"


def _cut_off(path: Path) -> None:
    """Leaves the first part of a file, or of every slice of a volume."""
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        content = file.read_bytes()
        file.write_bytes(content[: int(len(content) * 0.45)])
