"""Start of the app: the self-check, then the server, in one process, so that the libraries are loaded once."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping

from faceloupe.config import REPOSITORY
from faceloupe.errors import UsageError
from faceloupe.system import memory, temp
from faceloupe.system.logging import keep_log
from faceloupe.ui import selfcheck

_APP = REPOSITORY / "src" / "app.py"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def stay_inside() -> None:
    """Keep Streamlit from asking a server of Amazon's for this machine's address, as it does for a wildcard address and
    for visits under a name it does not know; it has no setting for that."""
    from streamlit import net_util

    net_util.get_external_ip = lambda: None


def main(arguments: list[str]) -> int:
    """Serve the app where the self-check passes.

    Args:
        arguments: of the command line; see ``--help``.
    """
    options = _options(arguments)
    os.chdir(REPOSITORY)  # where Streamlit looks for its settings, among them the address
    memory.hold()
    keep_log("app")
    temp.remove_leftovers()
    if code := selfcheck.main():
        return code
    import streamlit as st
    from starlette.middleware import Middleware

    from faceloupe.ui.auth import session
    from faceloupe.ui.auth.middleware import AuthMiddleware, HostCheck

    try:
        authenticator = session.authenticator()
    except UsageError as problem:  # a gate that cannot work lets nobody in
        print(f"faceloupe: {problem}", file=sys.stderr)
        return 2
    if authenticator is None and (warning := _exposed(options)):
        print(warning, file=sys.stderr)
    stay_inside()
    for number in (signal.SIGINT, signal.SIGTERM):  # the server stops first, then passes them on to these
        signal.signal(number, lambda *_: sys.exit(0))
    sys.argv = [str(_APP)]  # Streamlit puts the folder of what was started among those that modules are looked for in
    st.App(
        _APP, middleware=[Middleware(AuthMiddleware, authenticator) if authenticator else Middleware(HostCheck)]
    ).run(config=options)
    return 0


def _exposed(options: Mapping[str, str | int]) -> str:
    """A warning where others can reach the server; else nothing."""
    # .streamlit/config.toml has the last; to ask Streamlit would settle its settings before it is started
    address = options.get("server.address") or os.environ.get("STREAMLIT_SERVER_ADDRESS") or _LOOPBACK[0]
    if address in _LOOPBACK:
        return ""
    return (
        f"FaceLoupe is served on {address} without a password: anyone who can reach this machine can see its cases. "
        "Run `faceloupe password` to make a hash for FACELOUPE_PASSWORD_HASH."
    )


def _options(arguments: list[str]) -> dict[str, str | int]:
    """Settings of Streamlit's, as far as they were named."""
    parser = argparse.ArgumentParser(
        prog="python -m faceloupe.ui.serve", description="Run the self-check and serve the app."
    )
    parser.add_argument("--server.port", metavar="PORT", type=int, default=argparse.SUPPRESS)
    parser.add_argument("--server.address", metavar="ADDRESS", default=argparse.SUPPRESS)
    return vars(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
