"""Limits on the memory that a long-lived process keeps.

With tensors of ever new sizes, glibc would keep more memory with every file, and oneDNN a kernel for each size. Other
systems do not have these settings and are left unchanged.
"""

import ctypes
import os

_ARENAS, _MMAP_FROM = 1, 4 * 2**20  # heaps per process; least bytes of a block that is returned when freed
_KERNELS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256"}
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h

# For a new process, such as a batch worker, which then grows little over thousands of files.
ENVIRONMENT = _KERNELS | {"MALLOC_ARENA_MAX": str(_ARENAS), "MALLOC_MMAP_THRESHOLD_": str(_MMAP_FROM)}


def limit_allocator() -> None:
    """Apply the limits to this process; call it before the process has threads or networks."""
    os.environ.update(_KERNELS)
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM)


def release_unused() -> None:
    """Return unused memory to the system."""
    if (malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        malloc_trim(0)
