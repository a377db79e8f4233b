"""Decoders of untrusted files, each in a process of its own that can do next to nothing but decode.

    this process ── control ──> server (light, single-threaded, no network)   server.py
        │                         └─ fork: one child for each file, confined   child.py, confinement.py
        └──── session, leash ────────────^                                     worker.py

The child is given the evidence as an open file descriptor, never by a path; pixels come back through shared memory,
all else as JSON with numbers checked on arrival (``wire.py``). A crash, a hang or a want of memory ends the child, and
becomes one ``EvidenceError``. ``still.py`` and ``clip.py`` are what the rest of FaceLoupe calls.
"""
