"""Types of arguments that several commands take."""

import argparse
from pathlib import Path


def folder(text: str) -> Path:
    """Return the path of a folder.

    Raises:
        argparse.ArgumentTypeError: it is empty, which would mean the current folder.
    """
    if not text:  # an unset variable of a script, most likely
        raise argparse.ArgumentTypeError("a folder was expected")
    return Path(text)
