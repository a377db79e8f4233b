"""Bundles: a case as one signed ZIP, written, and checked by whoever receives it."""
