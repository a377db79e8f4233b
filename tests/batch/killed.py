"""A batch in a separate process that can be killed: ``python -m tests.batch.killed OUT PATH... [--resume]``."""

import sys
from functools import partial
from pathlib import Path

from faceloupe.batch.api import BatchSpec, run_batch
from faceloupe.batch.executors.local import LocalEngine
from faceloupe.config import Settings
from tests.batch.conftest import LIGHT

if __name__ == "__main__":
    out, *paths = (argument for argument in sys.argv[1:] if argument != "--resume")
    spec = BatchSpec(tuple(paths), Path(out), resume="--resume" in sys.argv)
    run_batch(spec, Settings(effort="quick"), make_engine=partial(LocalEngine, workers=2, work=LIGHT))
