"""Tables and text with an edge a row."""
