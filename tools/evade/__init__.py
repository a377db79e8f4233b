"""Whether verdicts survive what changes little or nothing for a viewer: ``make evade``."""
