"""Graphs of medical knowledge: built from open tables, completed, and asked for evidence."""
