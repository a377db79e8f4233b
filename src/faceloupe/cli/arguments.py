"""Argument types that several commands share."""

import argparse
from pathlib import Path


def folder(text: str) -> Path:
    """Return the path of a folder.

    Raises:
        argparse.ArgumentTypeError: the path is empty, which would mean the current folder.
    """
    if not text:  # most likely an unset variable in a script
        raise argparse.ArgumentTypeError("a folder was expected")
    return Path(text)
