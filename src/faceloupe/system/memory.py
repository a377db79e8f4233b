"""Limits on the memory that a long-lived process keeps.

With tensors of ever new sizes, glibc would hold more pieces with every file, and oneDNN a kernel for each size. Other
systems do not have these settings and are left as they are.
"""

import ctypes
import os

_ARENAS, _MMAP_FROM = 1, 4 * 2**20  # heaps of one process; bytes from which a piece of memory goes back when freed
_KERNELS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256"}
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h

# For a process that is started anew: a worker of a batch then grows little over thousands of files.
ENVIRONMENT = _KERNELS | {"MALLOC_ARENA_MAX": str(_ARENAS), "MALLOC_MMAP_THRESHOLD_": str(_MMAP_FROM)}


def hold() -> None:
    """Apply the limit to this process; to be called before it has threads or networks."""
    os.environ.update(_KERNELS)
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM)


def trim() -> None:
    """Give back what is held and not used."""
    if (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)
