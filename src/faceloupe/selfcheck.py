"""The check before the app starts: verified weights, and one bundled sample all the way through."""

import sys

from faceloupe.config import Settings
from faceloupe.errors import FaceLoupeError
from faceloupe.pipeline import Instruments, analyze
from faceloupe.samples import SAMPLES


def main() -> int:
    """Print one line with the outcome; 0 where the weights are verified, else 2."""
    try:
        settings = Settings.from_environment()
        report = analyze(SAMPLES[0].path, Instruments.load(settings), settings=settings).report
    except FaceLoupeError as problem:
        print(f"Self-check failed: {problem}", file=sys.stderr)
        return 2
    weights = report["model"]["weights_sha256"][:8]
    print(
        f"Self-check: {SAMPLES[0].path.name}: {report['outcome']} ({report['reason']}), weights {weights} verified",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
