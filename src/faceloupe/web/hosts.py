"""Which host names and addresses mean this machine, and nothing else."""

import ipaddress
import re

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z.-]+)(?::[0-9]+)?")  # a name or address, and a port


def names_this_machine(header: str) -> bool:
    """Whether a ``Host`` header is an IP address or localhost, so that no foreign name can stand for this machine."""
    match = _HOST.fullmatch(header.lower())
    if not match:
        return False
    host = match[1].strip("[]")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach a server that listens on the address; a name other than localhost is not."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
