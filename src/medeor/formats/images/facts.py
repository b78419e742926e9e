"""How images are known by their names."""

from medeor.contracts import FileFacts

ENDINGS = (
    ".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".npy",
)  # fmt: skip
"""How the names of images end."""

IMAGES = FileFacts(
    # An archive holds many images; DICOM often has no ending.
    endings=(*ENDINGS, ".npz", ""),
    columns=("image", "images", "image_path", "filename", "file", "path", "filepath"),
)
