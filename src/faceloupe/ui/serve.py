"""Start of the app: the self-check, then the server, in one process, so that the libraries are loaded once."""

import sys

from faceloupe import memory, scratch, selfcheck
from faceloupe.config import REPOSITORY, password_hash
from faceloupe.log import keep_log

_LOOPBACK = "127.0.0.1"  # the default, see .streamlit/config.toml


def stay_inside() -> None:
    """Keep Streamlit from asking a server of Amazon's for this machine's address, as it does for a wildcard address and
    for visits under a name it does not know; it has no setting for that."""
    from streamlit import net_util

    net_util.get_external_ip = lambda: None


def main(options: list[str]) -> int:
    """Serve the app where the self-check passes.

    Args:
        options: of ``streamlit run``, such as ``--server.port 8502``.
    """
    memory.hold()
    keep_log("app")
    scratch.remove_leftovers()
    if code := selfcheck.main():
        return code
    if warning := _exposed(options):
        print(warning, file=sys.stderr)
    from streamlit.web import cli

    stay_inside()
    cli.main(["run", str(REPOSITORY / "src" / "app.py"), *options], prog_name="streamlit")
    return 0


def _exposed(options: list[str]) -> str:
    """A warning where others can reach the server and no password is asked for; else nothing."""
    address = options[options.index("--server.address") + 1] if "--server.address" in options else _LOOPBACK
    if address in (_LOOPBACK, "localhost", "::1") or password_hash():
        return ""
    return (
        f"FaceLoupe is served on {address} without a password: whoever reaches this machine sees its cases. "
        "`faceloupe password` makes a hash for FACELOUPE_PASSWORD_HASH."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
