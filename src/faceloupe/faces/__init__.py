"""Finding faces, and judging whether one can carry a verdict."""
