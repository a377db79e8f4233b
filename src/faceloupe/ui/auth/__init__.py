"""The login that protects the whole server."""
