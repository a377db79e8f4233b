"""The case report as HTML and PDF, from one set of blocks."""
