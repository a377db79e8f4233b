"""Panels of the page Batch."""
