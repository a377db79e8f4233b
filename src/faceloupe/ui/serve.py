"""Start of the app: the self-check, then the server, in one process, so that the libraries are loaded once."""

import sys

from faceloupe import selfcheck
from faceloupe.config import REPOSITORY


def main(options: list[str]) -> int:
    """Serve the app where the self-check passes.

    Args:
        options: of ``streamlit run``, such as ``--server.port 8502``.
    """
    if code := selfcheck.main():
        return code
    from streamlit.web import cli

    cli.main(["run", str(REPOSITORY / "src" / "app.py"), *options], prog_name="streamlit")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
