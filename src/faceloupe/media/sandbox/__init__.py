"""Decoders of untrusted files, each in a separate process that can do almost nothing but decode.

    this process ── control ──> server (light, single-threaded, no network)   server.py
        │                         └─ fork: one child for each file, confined   decoder.py, confinement.py
        └──── session, control socket ──────^              client.py

The child receives the evidence as an open file descriptor, never as a path. Pixels come back through shared memory,
everything else as JSON whose numbers are checked on arrival (``protocol.py``). A crash, a hang or a lack of memory ends
the child and raises one ``EvidenceError``. FaceLoupe itself calls ``image.py``, ``video.py`` and ``statements.py``.
"""
