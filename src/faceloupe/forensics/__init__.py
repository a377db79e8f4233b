"""Forensic lenses: looks at a file beside the model's score, each with what it shows and what it does not."""
