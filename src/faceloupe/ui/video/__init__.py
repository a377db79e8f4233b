"""Panels of the page Video."""
