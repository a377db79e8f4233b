"""``python -m faceloupe``: the command line."""

import sys

from faceloupe.cli import main

sys.exit(main())
