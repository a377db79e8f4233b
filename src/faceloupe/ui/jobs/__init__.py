"""Work that goes on while pages are redrawn."""
