"""Images and volumes: DICOM, NIfTI, pictures, TIFF, arrays, and the folders and tables that list them."""
