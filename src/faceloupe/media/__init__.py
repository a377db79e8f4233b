"""Hashing, identification and decoding of image and video files."""
