"""From what the user gave to the cases of an image study."""
