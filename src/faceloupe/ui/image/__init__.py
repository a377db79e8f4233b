"""Panels of the page Image."""
