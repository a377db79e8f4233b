"""The check before the app starts: verified weights, and a complete analysis of one bundled sample."""

import sys

from faceloupe.analysis.pipeline import Networks, analyze
from faceloupe.config import Settings, weights_folder
from faceloupe.errors import FaceLoupeError
from faceloupe.models import fetch
from faceloupe.models.record import find_record
from faceloupe.report.build import build
from faceloupe.samples import SAMPLES


def main() -> int:
    """Fetch missing weights, analyze a sample and print the outcome; return 0 on success and 2 on failure."""
    try:
        settings = Settings.from_environment()
        record = find_record(weights_folder(), settings.model_id)
        if fetch.missing(record, weights_folder()):
            paths = fetch.fetch(record, weights_folder(), progress=_Progress())
            print(f"Fetched and verified: {', '.join(path.name for path in paths)}", flush=True)
        report = build(analyze(SAMPLES[0].path, Networks.load(settings)))
    except FaceLoupeError as problem:
        print(f"Self-check failed: {problem}", file=sys.stderr)
        return 2
    weights = report.model.weights_sha256[:8]
    print(
        f"Self-check: {SAMPLES[0].path.name}: {report.outcome} ({report.reason}), weights {weights} verified",
        flush=True,
    )
    return 0


class _Progress:
    """Progress on standard error: one updating line on a terminal; otherwise (in a container log) a line per stage."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, stage: str, share: float) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{share:4.0%}  {stage}", end="\n" if share >= 1.0 else "", file=sys.stderr, flush=True)
        elif stage != self._stage:
            print(stage, file=sys.stderr, flush=True)
        self._stage = stage


if __name__ == "__main__":
    sys.exit(main())
