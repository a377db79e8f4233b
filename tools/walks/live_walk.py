"""Walk through the live view with a camera that shows a clip, in a real browser: ``python -m tools.walks.live_walk``.

A clip can be given as the argument. Needs Debian's chromium and playwright, and is not part of the test suite. Its
pictures go to ``build/walk``.
"""

import io
import re
import sys
import tempfile
from pathlib import Path

import av
from docs.screenshots.browser import PATIENCE_MS, create_case, go, name_examiner, press, see, shoot
from PIL import Image, ImageOps

from faceloupe.samples import CLIP
from tools.walks.stage import PICTURES, command, expect, stage

SIZE, SECONDS = (640, 480), 20
SPEED = re.compile(r"([\d.]+) frames/s, median delay (\d+) ms")


def as_camera(clip: Path, path: Path) -> Path:
    """Write the frames of a clip as a stream of JPEGs, which the browser's fake camera repeats."""
    with av.open(str(clip)) as container, path.open("wb") as stream:
        for frame in container.decode(video=0):
            picture = io.BytesIO()
            ImageOps.pad(Image.fromarray(frame.to_ndarray(format="rgb24")), SIZE).save(picture, "JPEG", quality=95)
            stream.write(picture.getvalue())
    return path


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        camera = as_camera(Path(sys.argv[1]) if len(sys.argv) > 1 else CLIP.path, folder / "camera.mjpeg")
        fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        with stage(folder, [*fake, f"--use-file-for-fake-video-capture={camera}"]) as (page, address):
            page.goto(address)
            foreign: list[str] = []
            page.on("request", lambda request: foreign.append(request.url) if address not in request.url else None)
            name_examiner(page, "Ada Example")
            create_case(page, "Harbor")
            go(page, "Live")
            see(page, "no evidence is kept")
            see(page, "The camera is off.")
            press(page, "Start the camera")
            page.get_by_text(SPEED).wait_for(timeout=PATIENCE_MS)
            speeds = []
            for _ in range(SECONDS):
                page.wait_for_timeout(1000)
                if result := SPEED.search(page.get_by_role("status").inner_text()):
                    speeds.append((float(result[1]), int(result[2])))
            rates, delays = (sorted(values) for values in zip(*speeds, strict=True))
            middle = len(speeds) // 2
            expect(True, f"{rates[middle]:.1f} frames/s, delay {delays[middle]} ms, medians of {len(speeds)} s")
            page.get_by_text(re.compile(r"Face \d+: score")).wait_for(timeout=PATIENCE_MS)  # a cut makes a new face
            expect(True, "a face is framed and scored")
            shoot(page, "live", 1200, PICTURES)
            page.get_by_text(SPEED).wait_for(timeout=PATIENCE_MS)
            press(page, "File the last seconds")
            see(page, "frames were filed as live-")
            expect(True, "the last seconds are filed")
            shoot(page, "live-kept", 1200, PICTURES)
            expect(all(url.startswith(("data:", "blob:")) for url in foreign), "the page asked no other server")
            code, texts = command("case", "list")
            case_id = texts.splitlines()[1].split()[0] if code == 0 else ""
            code, texts = command("case", "show", case_id)
            expect(code == 0 and ".mjpeg" in texts, f"the case has the stretch: {texts.splitlines()[-1]}")


if __name__ == "__main__":
    main()
