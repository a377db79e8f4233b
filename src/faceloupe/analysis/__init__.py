"""Analysis of an evidence file: faces are found, scored, followed and explained."""
