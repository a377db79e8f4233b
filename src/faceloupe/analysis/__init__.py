"""From an evidence file to an analysis: faces found, scored, followed and explained."""
