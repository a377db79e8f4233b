"""Start the app: the self-check first, then the server, in one process, so that the libraries are loaded once."""

import os
import signal
import sys
from types import FrameType

import streamlit as st
from starlette.middleware import Middleware
from streamlit import net_util

from faceloupe.analysis.prefetch import use_one_network_thread
from faceloupe.config import is_demo
from faceloupe.installation import APP, ROOT
from faceloupe.system import memory, temp
from faceloupe.ui import selfcheck
from faceloupe.ui.auth import session
from faceloupe.ui.auth.middleware import AuthMiddleware, HostCheck
from faceloupe.ui.demo import LIMIT_MB

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FOLDERS = ("FACELOUPE_DATA", "FACELOUPE_EVIDENCE", "FACELOUPE_WEIGHTS")  # variables that name one


def disable_address_lookup() -> None:
    """Keep Streamlit from asking a server on the internet for the address of this machine.

    It does so for a wildcard address and for visits under a host name that it does not know, and has no setting for it.
    """
    net_util.get_external_ip = lambda: None


def serve(*, port: int | None = None, address: str | None = None) -> int:
    """Serve the app until the process is told to end, if the self-check passes.

    Args:
        port: to listen on; None leaves it to Streamlit's settings, 8501 where they name none.
        address: to listen on; None leaves it to Streamlit's settings, 127.0.0.1 where they name none.

    Returns:
        Exit code: 0 after it was told to end, 2 where the self-check or the password's hash does not allow a start.

    Raises:
        UsageError: ``FACELOUPE_PASSWORD_HASH`` does not hold a hash.
    """
    _enter_root()
    memory.hold()
    use_one_network_thread()  # several jobs at once share the cores
    temp.remove_leftovers()
    if code := selfcheck.main():
        return code
    if is_demo():
        os.environ["FACELOUPE_DATA"] = str(temp.folder("demo"))  # nothing is kept, and it goes with the server
    authenticator = session.authenticator()  # raises where it cannot work, so that nobody is let in
    if authenticator is None and not is_demo() and (warning := exposure_warning(address)):
        print(warning, file=sys.stderr)
    disable_address_lookup()
    for number in (signal.SIGINT, signal.SIGTERM):  # the server stops first, then passes them on to these
        signal.signal(number, _end)
    sys.argv = [str(APP)]  # Streamlit puts the folder of what was started among those that modules are looked for in
    options: dict[str, str | int | bool | None] = {"server.port": port, "server.address": address}
    guards = [Middleware(AuthMiddleware, authenticator) if authenticator else Middleware(HostCheck)]
    if is_demo():
        # It is served under any name and inside the pages of others, where its cookies do not arrive.
        guards = guards if authenticator else []
        options |= {"server.enableXsrfProtection": False, "server.maxUploadSize": LIMIT_MB}
    st.App(APP, middleware=guards).run(config={name: value for name, value in options.items() if value is not None})
    return 0


def exposure_warning(address: str | None) -> str:
    """Return a warning if others can reach a server without a password on ``address``, else an empty text."""
    # .streamlit/config.toml comes last; asking Streamlit would settle its settings before it is started
    address = address or os.environ.get("STREAMLIT_SERVER_ADDRESS") or _LOOPBACK[0]
    if address in _LOOPBACK:
        return ""
    return (
        f"FaceLoupe is served on {address} without a password: anyone who can reach this machine can see its cases. "
        "Run `faceloupe password` to make a hash for FACELOUPE_PASSWORD_HASH."
    )


def _enter_root() -> None:
    """Change to the folder where Streamlit looks for its settings, the address among them."""
    for name in _FOLDERS:
        if folder := os.environ.get(name):
            os.environ[name] = os.path.abspath(folder)  # as it was meant where the command was given
    os.chdir(ROOT)


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
