"""FaceLoupe: a workbench for the forensic examination of faces in photographs and videos."""

__version__ = "0.3.0"
