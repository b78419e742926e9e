"""Small DICOM files for tests."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


def data_set(pixels: np.ndarray, **attributes: object) -> Dataset:
    """A data set with these pixels, (rows, columns[, 3]) or (frames, rows, columns), and attributes by keyword."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, data.file_meta.MediaStorageSOPInstanceUID
    colour = pixels.ndim > 2 and pixels.shape[-1] == 3
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    data.Rows, data.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    if pixels.ndim == 3 + colour:
        data.NumberOfFrames = len(pixels)
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    data["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for name, value in attributes.items():
        setattr(data, name, value)
    return data


def write(path: Path, pixels: np.ndarray, **attributes: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data_set(pixels, **attributes).save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, volume: np.ndarray, names: list[str], **attributes: object) -> None:
    """Axial slices, 2 mm apart, under these names; position grows with the index along the first axis."""
    uid = attributes.pop("SeriesInstanceUID", generate_uid())
    for index, (plane, name) in enumerate(zip(volume, names)):
        write(
            folder / name, plane, SeriesInstanceUID=uid, PixelSpacing=[0.5, 0.8],
            ImagePositionPatient=[10.0, 20.0, 2.0 * index], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            **{"Modality": "CT"} | attributes,
        )  # fmt: skip
