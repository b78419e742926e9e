"""What every test may ask for."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that ask for it carry the marker `data`."""
    folder = os.environ.get("MEDEOR_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real data sets: set MEDEOR_DATA to their folder")
    return Path(folder)
