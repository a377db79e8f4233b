"""Differences in a public demo: strangers share the server, and none of their files is kept."""

from faceloupe.config import DEMO_BYTES, is_demo
from faceloupe.ui.language import mark_for_translation, tr

LIMIT_MB = DEMO_BYTES // 1_000_000
NOTICE = mark_for_translation(
    "Public demo: a file that you upload is examined on the server of the demo and is not kept. Only its result "
    "stays in memory for a while. One photo or video at a time, up to {limit} MB. Do not upload confidential files."
)


def retention_clause() -> str:
    """Return a clause that states where files and results stay."""
    return tr("nothing is kept") if is_demo() else tr("nothing leaves this machine")


def file_retention_clause() -> str:
    """Return a clause that states where a file stays."""
    return tr("it is not kept") if is_demo() else tr("it stays on this machine")
