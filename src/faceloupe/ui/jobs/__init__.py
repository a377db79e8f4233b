"""Background jobs, which continue while pages are redrawn."""
