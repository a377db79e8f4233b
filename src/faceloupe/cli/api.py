"""``faceloupe api`` and ``faceloupe api key ...``: their arguments and actions."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from faceloupe.cli.console import Console
from faceloupe.config import Settings, data_folder
from faceloupe.report.columns import columns
from faceloupe.server.keys import OVERLAP, ApiKey, ApiKeys, Scope
from faceloupe.server.limits import Limits


def serve(options: argparse.Namespace, settings: Settings, console: Console) -> int:
    """Run ``faceloupe api``; return the exit code."""
    from faceloupe.server import serve as work  # lazy import: key commands need no networks

    limits = Limits(
        upload_bytes=round(options.max_upload * 1e6),
        work_s=options.max_seconds,
        videos=options.videos,
        images=options.images,
        requests_per_minute=options.rate,
    )

    def ready(address: str) -> None:
        console.emit(f"The API is served on {address}/v1; {address}/v1/openapi.json describes it.")

    work.serve(options.host, options.port, settings, limits, ready=ready)
    return 0


def _create(options: argparse.Namespace, console: Console) -> int:
    _, secret = ApiKeys(data_folder()).create(options.name, options.scope, days=options.days, replaces=options.replaces)
    console.emit(secret)
    return 0


def _list(_: argparse.Namespace, console: Console) -> int:
    now, keys = datetime.now(UTC), ApiKeys(data_folder()).all()
    rows = [("Id", "State", "Scopes", "Created", "Ends", "Name")]
    rows += [
        (key.id, key.state(now), " ".join(key.scopes), f"{key.created:%Y-%m-%d}", _end(key), key.name) for key in keys
    ]
    console.emit("\n".join(columns(rows)) if keys else "There are no API keys.")
    return 0


def _end(key: ApiKey) -> str:
    last = key.revoked or key.ends
    return "-" if last is None else f"{last:%Y-%m-%d %H:%M} UTC"


def _revoke(options: argparse.Namespace, console: Console) -> int:
    key = ApiKeys(data_folder()).revoke(options.id)
    console.emit(f"The key {key.id} ({key.name}) was revoked.")
    return 0


KEY_ACTIONS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "create": _create,
    "list": _list,
    "revoke": _revoke,
}


def add_api(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``faceloupe api`` and the commands for its keys."""
    limits = Limits()
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="address (default: 127.0.0.1)")
    parser.add_argument("--port", metavar="PORT", type=int, default=8600, help="port (default: 8600; 0: a free one)")
    for name, metavar, kind, default, about in (
        ("--images", "N", _count, limits.images, "images at once"),
        ("--videos", "N", _count, limits.videos, "videos at once"),
        ("--max-upload", "MB", _positive, limits.upload_bytes / 1e6, "largest upload"),
        ("--max-seconds", "S", _positive, limits.work_s, "longest analysis"),
        ("--rate", "N", _rate, limits.requests_per_minute, "requests of one client a minute; 0: any number"),
    ):
        parser.add_argument(name, metavar=metavar, type=kind, default=default, help=f"{about} (default: {default:g})")
    keys = parser.add_subparsers(title="commands", metavar="key", dest="about")
    about = "make, list and revoke API keys"
    actions = keys.add_parser("key", help=about, description=f"{about.capitalize()}.").add_subparsers(
        title="actions", metavar="ACTION", dest="action", required=True
    )
    about = "make a key and print it"
    create = actions.add_parser("create", help=about, description=f"{about.capitalize()}; it is not shown again.")
    create.add_argument("name", metavar="NAME", help="whose key it is, or what it is for")
    create.add_argument(
        "--scope",
        action="append",
        type=Scope,
        choices=tuple(Scope),
        default=[],
        help="what it allows: read or analyze; may be given twice (default: both, or those of the replaced key)",
    )
    create.add_argument("--days", metavar="N", type=_positive, help="days that it works (default: until it is revoked)")
    create.add_argument(
        "--replaces",
        metavar="ID",
        help=f"key that stops working in {OVERLAP.total_seconds() / 3600:g} hours, as this one takes its place",
    )
    about = "list the keys"
    actions.add_parser("list", help=about, description=f"{about.capitalize()}; their secrets are not kept.")
    about = "revoke a key, at once and for good"
    revoke = actions.add_parser("revoke", help=about, description=f"{about.capitalize()}.")
    revoke.add_argument("id", metavar="ID", help="id of the key")


def _count(text: str, *, least: int = 1) -> int:
    number = int(text)
    if not least <= number <= 1_000_000:
        raise argparse.ArgumentTypeError(f"must be between {least} and 1,000,000, not {number}")
    return number


def _rate(text: str) -> int:
    return _count(text, least=0)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1e6:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1,000,000, not {text}")
    return number
