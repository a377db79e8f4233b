"""The HTTP API: the same pipeline, queue and sandbox as the app, for other programs."""
