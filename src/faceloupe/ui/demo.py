"""What is different in a public demo: strangers share the server, and nothing of theirs is kept."""

from faceloupe.config import DEMO_BYTES, is_demo
from faceloupe.ui.language import later, tr

LIMIT_MB = DEMO_BYTES // 1_000_000
NOTICE = later(
    "Public demo: a file that you upload goes to the server of the demo, is examined there and is not kept; only its "
    "result stays in memory for a while. One photo or video at a time, up to {limit} MB. Do not upload what is "
    "confidential."
)


def stays() -> str:
    """Where files and results stay, as half a sentence."""
    return tr("nothing is kept") if is_demo() else tr("nothing leaves this machine")


def file_stays() -> str:
    """Where a file stays, as half a sentence."""
    return tr("it is not kept") if is_demo() else tr("it stays on this machine")
