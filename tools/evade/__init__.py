"""Measure whether verdicts survive changes that a viewer hardly notices: ``make evade``."""
