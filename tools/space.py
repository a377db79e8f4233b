"""Assemble the public demo as a folder for a Hugging Face Space: ``python -m tools.space FOLDER`` (`make space`).

The folder is a repository that can be pushed as it is: the files of the image, the Dockerfile with the demo switched
on, and a README with the front matter of the Space. Large files are marked for Git LFS.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from faceloupe.installation import ROOT

FRONT_MATTER = """---
title: FaceLoupe
emoji: 🔎
colorFrom: blue
colorTo: gray
sdk: docker
app_port: 8501
pinned: false
license: mit
short_description: Was this face generated or manipulated, and how sure is that?
---

"""
TEXT = """# FaceLoupe, public demo

Examines whether the faces in a photo or video were generated or manipulated, how sure that is, and why.
Uploads of up to 10 MB are examined on the server of this Space and are not kept; do not upload confidential files.
The app itself runs offline on one workstation, with cases, reports and no limit on size.
"""
SWITCH = """
# The public demo: nothing is kept, see src/faceloupe/ui/demo.py. /tmp is written to, whoever runs the container.
ENV FACELOUPE_DEMO=1 FACELOUPE_DATA=/tmp/faceloupe
"""
PARTS = (  # paths that the Dockerfile copies
    *(".dockerignore", ".streamlit", "CHANGELOG.md", "LICENSE"),
    "docs/model-card.md",
    *(
        f"docs/{model}/{name}"
        for model in ("core", "expert")
        for name in ("held-out.csv", "left-out.csv", "record.json")
    ),
    *("pages", "pyproject.toml", "requirements.txt", "src", "weights"),
)


def assemble(folder: Path) -> None:
    """Write the folder, which must not exist; only tracked files are included."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--", *PARTS], capture_output=True, check=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "Dockerfile").write_text((ROOT / "Dockerfile").read_text(encoding="utf-8") + SWITCH, encoding="utf-8")
    (folder / "README.md").write_text(FRONT_MATTER + TEXT, encoding="utf-8")
    lfs = "".join(f"*.{kind} filter=lfs diff=lfs merge=lfs -text\n" for kind in ("safetensors", "mp4", "png", "jpg"))
    (folder / ".gitattributes").write_text(lfs, encoding="utf-8")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "build/space")
    if target.exists():
        raise SystemExit(f"{target} exists already; remove it or name another folder.")
    assemble(target)
    print(f"The Space is in {target}: push it to its repository with Git LFS.")
