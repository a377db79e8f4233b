"""Restrictions of a decoder process, applied before it reads its file. Those that a system does not know are skipped.

Nothing here needs privileges. System calls that Python does not offer go through ``ctypes``; their numbers and flags
are those of Linux (``linux/prctl.h``, ``linux/landlock.h``, ``linux/sched.h``).
"""

import ctypes
import os
import resource
import signal
import struct
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

_OPEN_FILES = 32
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_CAPABILITY_VERSION = 0x20080522
_LANDLOCK_CREATE, _LANDLOCK_ALLOW, _LANDLOCK_RESTRICT = 444, 445, 446  # the same numbers on every architecture
_LANDLOCK_VERSION, _LANDLOCK_BENEATH = 1, 1
_READ = 1 << 2 | 1 << 3  # files, folders
_FILE_RIGHTS = (13, 14, 15, 15, 16)  # number of file rights in versions 1 to 5 of Landlock
_NET_RIGHTS, _SCOPES = 2, 2  # TCP: bind, connect (from version 4); abstract sockets, signals (from version 6)
# Libraries import some of their modules only when a file needs them.
_LIBRARIES = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
_LIBRARIES |= {str(Path(__file__).parents[2])}

_linux = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)  # the calls below exist in the C library of Linux


def leave_network() -> bool:
    """Move this process and its future children to a network without interfaces; return whether this succeeded."""
    return _linux and _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0


def die_with(parent: int) -> None:
    """Have the system kill this process when its parent ends.

    Args:
        parent: process id that the parent reports for itself; the parent may have ended already.
    """
    if _linux:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Restrictions that the forking process has prepared for each decoder.

    Attributes:
        rules: descriptor of the Landlock rules; None if the system does not support Landlock.
        mapped: bytes of address space already in use, which the memory limit must include; 0 if not known.
    """

    rules: int | None
    mapped: int


def prepare() -> Bounds:
    """Give up what neither forking nor decoding needs, for this process and all its children.

    This covers the network, privileges, core dumps, and new or large files. The further restrictions of each decoder
    are prepared.
    """
    leave_network()
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    if not _linux:
        return Bounds(None, 0)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    rules = _rules()
    _drop_capabilities()
    with open("/proc/self/statm", encoding="ascii") as numbers:
        return Bounds(rules, int(numbers.read().split()[0]) * resource.getpagesize())


def confine(bounds: Bounds) -> None:
    """Apply the remaining restrictions to a decoder, permanently (Landlock).

    They cover the disk (except reading Python's own libraries), TCP, and signals to other processes.
    """
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    if bounds.rules is not None:
        _libc.syscall(_LANDLOCK_RESTRICT, bounds.rules, 0)
        os.close(bounds.rules)


def limit_memory(size: int) -> None:
    """Limit the address space to ``size`` bytes on Linux; other systems know this limit but do not enforce it."""
    if _linux:
        _limit(resource.RLIMIT_AS, size)


def _rules() -> int | None:
    """Return a descriptor of the Landlock rules for a decoder; None if the system does not support Landlock."""
    version = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        return None
    rights = (1 << _FILE_RIGHTS[min(version, len(_FILE_RIGHTS)) - 1]) - 1
    handled = (rights, (1 << _NET_RIGHTS) - 1, (1 << _SCOPES) - 1)[: 1 if version < 4 else 2 if version < 6 else 3]
    rules = (ctypes.c_uint64 * len(handled))(*handled)
    descriptor: int = _libc.syscall(_LANDLOCK_CREATE, rules, ctypes.c_size_t(ctypes.sizeof(rules)), 0)
    if descriptor < 0:
        return None
    for folder in filter(os.path.isdir, _LIBRARIES):  # some distributions list folders that do not exist
        beneath = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        _libc.syscall(_LANDLOCK_ALLOW, descriptor, _LANDLOCK_BENEATH, struct.pack("=Qi", _READ, beneath), 0)
        os.close(beneath)
    return descriptor


def _drop_capabilities() -> None:
    """Give up the capabilities of root, or of the root of a user namespace (``linux/capability.h``)."""
    header, none = struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)
    _libc.capset(ctypes.create_string_buffer(header), ctypes.create_string_buffer(none))


def _limit(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))
