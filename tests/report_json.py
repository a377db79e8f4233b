"""Reports as JSON values, for tests of their text."""

import json
from typing import Any

from faceloupe.analysis.results import Analysis
from faceloupe.report.build import build


def report_json(analysis: Analysis) -> dict[str, Any]:
    """The values of the text of an analysis's report."""
    values: dict[str, Any] = json.loads(build(analysis).to_json())
    return values
