"""A hospital with known truth: images whose lesions, sites, copies and mistakes are known because they were made."""

from medeor.simulate.hospital import Hospital, Planted, hospital
from medeor.simulate.write import is_simulated, write

__all__ = ["Hospital", "Planted", "hospital", "is_simulated", "write"]
