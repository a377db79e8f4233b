"""The HTTP API for other programs, with the same pipeline, job queue and sandbox as the app."""
