"""FaceLoupe: a workbench for the forensic examination of faces in photographs."""

__version__ = "0.2.0"
