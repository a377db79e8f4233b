"""``faceloupe people ...``: manage the people who sign in to the app with a personal password."""

import argparse
import getpass
import sys
from typing import TYPE_CHECKING

from faceloupe.cli.console import Console
from faceloupe.config import data_folder
from faceloupe.errors import UsageError

if TYPE_CHECKING:
    from faceloupe.ui.auth.people import People


def new_password() -> str:
    """Read a new password from the terminal, or from a line of stdin; other users could list an argument.

    Raises:
        UsageError: the repeated password differs.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Repeat the password: "):
        raise UsageError("The two passwords differ; try again.")
    return password


def _people() -> "People":
    from faceloupe.ui.auth.people import People  # lazy import: other commands do not need it

    return People(data_folder())


def answer(options: argparse.Namespace, console: Console) -> int:
    """Run ``faceloupe people``; return the exit code."""
    people = _people()
    if options.action == "add":
        person = people.set_password(options.name, new_password())
        console.emit(f"{person.name} signs in with this password from now on.")
    elif options.action == "remove":
        people.remove(options.name)
        console.emit(f"{options.name} can no longer sign in; what this person wrote stays.")
    else:
        console.emit(
            "\n".join(person.name for person in people.all()) or "Nobody has a password; names are not checked."
        )
    return 0


def add_people(people: argparse.ArgumentParser) -> None:
    """Add the actions to the parser of ``faceloupe people``."""
    actions = people.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    for name, about in (
        ("add", "give a person a password, read from the terminal or stdin; a new one replaces it"),
        ("remove", "take a person's password away"),
    ):
        action = actions.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        action.add_argument("name", metavar="NAME", help="as it stands in logs and reports")
    about = "list the people who have a password"
    actions.add_parser("list", help=about, description=f"{about.capitalize()}.")
