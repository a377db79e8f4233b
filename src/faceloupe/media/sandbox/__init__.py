"""Decoders of untrusted files, each in a process of its own that can do next to nothing but decode.

    this process ── control ──> server (light, single-threaded, no network)   server.py
        │                         └─ fork: one child for each file, confined   decoder.py, confinement.py
        └──── session, control socket ──────^              client.py

The child is given the evidence as an open file descriptor, never by a path; pixels come back through shared memory,
all else as JSON with numbers checked on arrival (``protocol.py``). A crash, a hang or a lack of memory ends the child,
and becomes one ``EvidenceError``. ``image.py`` and ``video.py`` are what the rest of FaceLoupe calls.
"""
