"""The login that stands around the whole server."""
