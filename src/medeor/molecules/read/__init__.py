"""From what the user gave to the cases of a study of compounds."""
