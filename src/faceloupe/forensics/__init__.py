"""Forensic lenses: examinations of a file besides the score of the model, each with a statement of its limits."""
