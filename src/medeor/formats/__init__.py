"""Reading what clinics keep: DICOM, NIfTI, pictures, arrays and tables, each into one plain shape."""
