"""FaceLoupe: a workbench for the forensic examination of faces in photographs and videos."""

import logging

__version__ = "0.4.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # what is logged is shown where somebody asks for it
