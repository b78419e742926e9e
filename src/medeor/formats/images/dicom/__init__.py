"""DICOM: flat images, frames, and series of slices as volumes."""
