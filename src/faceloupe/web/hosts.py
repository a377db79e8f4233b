"""Which hosts a server without a password answers by: those whose names nobody else can give."""

import ipaddress
import re

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z.-]+)(?::[0-9]+)?")  # a name or address, and a port


def is_address_or_localhost(header: str) -> bool:
    """Whether a ``Host`` header is any IP address or localhost: not a name that somebody else can have lead here."""
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
