"""Host names that a server without a password accepts; they rule out DNS rebinding."""

import ipaddress
import re

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z.-]+)(?::[0-9]+)?")  # a name or address, and an optional port


def is_address_or_localhost(header: str) -> bool:
    """Return whether a ``Host`` header is an IP address or localhost, which rules out DNS rebinding."""
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
    """Return whether only this machine can reach a server on the address; False for names except localhost."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
