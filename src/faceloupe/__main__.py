"""``python -m faceloupe``: the command line."""

import sys

from faceloupe.cli.main import main

sys.exit(main())
