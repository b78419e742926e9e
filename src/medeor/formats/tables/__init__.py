"""Tables as people keep them: text in any dialect and encoding, workbooks, embeddings."""
