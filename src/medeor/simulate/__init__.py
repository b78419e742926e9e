"""A hospital with known truth: images whose lesions, sites, copies and mistakes, and a table whose risks are known
because they were made."""

from medeor.simulate.clinic import Clinic, clinic
from medeor.simulate.hospital import Hospital, Planted, hospital
from medeor.simulate.write import is_simulated, write

__all__ = ["Clinic", "Hospital", "Planted", "clinic", "hospital", "is_simulated", "write"]
