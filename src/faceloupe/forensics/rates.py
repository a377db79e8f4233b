"""How often the rules of the lenses fire rightly and wrongly, as `python -m tools.lens_rates` measured it."""

from functools import cache
from pathlib import Path

import msgspec

from faceloupe.forensics.results import Rates

RATES = Path(__file__).parent / "data" / "rates.json"


@cache
def _all() -> dict[str, Rates]:
    return msgspec.json.decode(RATES.read_bytes(), type=dict[str, Rates]) if RATES.exists() else {}


def rates_of(rule: str) -> Rates | None:
    """Rates of a rule by its id; None where they were not measured."""
    return _all().get(rule)
