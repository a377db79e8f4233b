"""``python -m faceloupe``: the command line."""

import sys

from faceloupe.cli.main import run

sys.exit(run())
