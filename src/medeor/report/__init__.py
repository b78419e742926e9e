"""The offline report of a run: one HTML file that draws `medeor.figures` values, and a model card in Markdown.

`page` holds the report and writes it, `plots` draws the figures, `pictures` the images among them, `card` writes the
model card. No modality is known here."""
