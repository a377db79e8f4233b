"""Scoring: from a face to a calibrated score and an outcome."""
