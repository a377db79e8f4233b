"""Color profiles (ICC.1:2022) for pictures whose shown colors differ from the stored ones."""

import struct

from PIL import ImageCms

_D50 = (0.9642, 1.0, 0.8249)
_HEADER, _ENTRY = 128, 12


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def built(space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", connection: bytes = b"XYZ ") -> bytes:
    """A profile of version 2.4 with these tags."""
    position = _HEADER + 4 + _ENTRY * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        body += bytes(-len(body) % 4)
        table += struct.pack(">4sII", name, position + len(bodies), len(body))
        bodies += body
    head = struct.pack(">I4sI4s4s4s", position + len(bodies), b"test", 0x02400000, kind, space, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*_D50)
    return head.ljust(_HEADER, b"\0") + table + bodies


def _text(message: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(message) + 1) + message + b"\0" + bytes(78)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _white() -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*_D50)


def gray(gamma: float) -> bytes:
    """A profile of gray pictures that store light to the power of 1 / gamma."""
    return built(b"GRAY", {b"desc": _text(b"gray"), b"wtpt": _white(), b"kTRC": _curve(gamma)})


def cmyk() -> bytes:
    """A profile of pictures whose cyan ink is as good as none, and whose black is not quite black."""
    ramp = bytes(range(256))
    inks = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]  # the last varies first
    grid = b"".join(
        bytes((60 if k else 255 - 40 * (m + y), 128 + 50 * m * (1 - k), 128 + 60 * y)) for _, m, y, k in inks
    )
    body = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + 4 * ramp + grid + 3 * ramp
    tags = {b"desc": _text(b"ink"), b"wtpt": _white(), b"A2B0": body, b"A2B1": body, b"A2B2": body}
    return built(b"CMYK", tags, kind=b"prtr", connection=b"Lab ")


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def permuted(order: str) -> bytes:
    """sRGB whose stored channels are red, green and blue in another order, "bgr" for one."""
    profile = bytearray(srgb())
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    for number in range(count):
        position = _HEADER + 4 + _ENTRY * number
        name = bytes(profile[position : position + 4])
        if name[1:] in (b"XYZ", b"TRC") and name[:1] in b"rgb":
            profile[position : position + 1] = "rgb"[order.index(chr(name[0]))].encode()
    return bytes(profile)
