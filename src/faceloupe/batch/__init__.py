"""Batches of files: listed in a stable order, analyzed by an engine, and written as one row per file."""
