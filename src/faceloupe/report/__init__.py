"""The canonical report and the figures drawn from it."""
