"""The start of the app: self-check and server run in one process, so that the libraries are loaded only once."""

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
_FOLDERS = ("FACELOUPE_DATA", "FACELOUPE_EVIDENCE", "FACELOUPE_WEIGHTS")  # environment variables that name a folder


def disable_address_lookup() -> None:
    """Keep Streamlit from asking a server on the internet for the address of this machine.

    Streamlit does so for wildcard addresses and for unknown host names in requests, and has no setting to disable it.
    """
    net_util.get_external_ip = lambda: None


def serve(*, port: int | None = None, address: str | None = None) -> int:
    """Run the self-check and, if it passes, serve the app until the process is told to stop.

    Args:
        port: port to listen on; None uses Streamlit's settings, or 8501 if they contain none.
        address: address to listen on; None uses Streamlit's settings, or 127.0.0.1 if they contain none.

    Returns:
        Exit code: 0 after a normal stop, 2 if the self-check failed.

    Raises:
        UsageError: ``FACELOUPE_PASSWORD_HASH`` is not a valid hash.
    """
    _enter_root()
    memory.limit_allocator()
    use_one_network_thread()  # several jobs at once share the cores
    temp.remove_leftovers()
    if code := selfcheck.main():
        return code
    if is_demo():
        os.environ["FACELOUPE_DATA"] = str(temp.folder("demo"))  # a temporary folder, removed when the server stops
    authenticator = session.authenticator()  # raises if the hash is invalid, so that nobody gets in
    if authenticator is None and not is_demo() and (warning := exposure_warning(address)):
        print(warning, file=sys.stderr)
    disable_address_lookup()
    for number in (signal.SIGINT, signal.SIGTERM):  # the server stops, then raises the signal again for these handlers
        signal.signal(number, _end)
    sys.argv = [str(APP)]  # Streamlit adds the folder of the started script to the module search path
    options: dict[str, str | int | bool | None] = {"server.port": port, "server.address": address}
    guards = [Middleware(AuthMiddleware, authenticator) if authenticator else Middleware(HostCheck)]
    if is_demo():
        # A demo is served under any host name and embedded in other sites, where its cookies do not arrive.
        guards = guards if authenticator else []
        options |= {"server.enableXsrfProtection": False, "server.maxUploadSize": LIMIT_MB}
    st.App(APP, middleware=guards).run(config={name: value for name, value in options.items() if value is not None})
    return 0


def exposure_warning(address: str | None) -> str:
    """Return a warning if others can reach a server without a password on ``address``, otherwise an empty text."""
    # The default is that of .streamlit/config.toml. Asking Streamlit would fix its settings before it is started.
    address = address or os.environ.get("STREAMLIT_SERVER_ADDRESS") or _LOOPBACK[0]
    if address in _LOOPBACK:
        return ""
    return (
        f"FaceLoupe is served on {address} without a password: anyone who can reach this machine can see its cases. "
        "Run `faceloupe password` to make a hash for FACELOUPE_PASSWORD_HASH."
    )


def _enter_root() -> None:
    """Change to the folder where Streamlit looks for its settings, such as the address."""
    for name in _FOLDERS:
        if folder := os.environ.get(name):
            os.environ[name] = os.path.abspath(folder)  # relative to the folder where the command was given
    os.chdir(ROOT)


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
