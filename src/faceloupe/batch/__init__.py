"""Many files: listed in a stable order, examined by an engine, written as one row each."""
