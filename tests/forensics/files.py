"""Files that state something about themselves, written by other programs than the readers under test."""

import io
import struct
from collections.abc import Callable, Mapping

import av
import numpy as np
import pillow_heif
from PIL import ExifTags, Image, PngImagePlugin

from faceloupe.media.metadata_blocks import _PREFIXES

pillow_heif.register_heif_opener()
_TAGS = {name: tag for tag, name in ExifTags.TAGS.items()}
_NAMESPACES = {prefix: namespace for namespace, prefix in _PREFIXES.items()}
_DATASETS = {"Credit": 110, "Caption-Abstract": 120, "Source": 115}
_XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
Statements = Mapping[str, str]


def picture(seed: int = 0) -> Image.Image:
    """A small picture with some texture."""
    values = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), np.uint8)
    return Image.fromarray(values).resize((64, 48), Image.Resampling.BICUBIC)


def saved(form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture().save(stream, form, **options)
    return stream.getvalue()


def exif(statements: Statements) -> bytes:
    block = Image.Exif()
    for name, value in statements.items():
        if name == "UserComment":
            block.get_ifd(0x8769)[_TAGS[name]] = b"UNICODE\0" + value.encode("utf-16-be")
        else:
            block[_TAGS[name]] = value
    return block.tobytes()


def xmp(statements: Statements) -> bytes:
    """A packet with each statement as an attribute, or as the default of alternatives where XMP asks for that."""
    spaces = " ".join(f'xmlns:{prefix}="{_NAMESPACES[prefix]}"' for prefix in {key.split(":")[0] for key in statements})
    attributes, elements = "", ""
    for key, value in statements.items():
        text = value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        if key == "dc:description":
            elements += f'<{key}><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></{key}>'
        else:
            attributes += f' {key}="{text}"'
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {spaces}{attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


def iptc(statements: Statements) -> bytes:
    """Datasets of record 2 (IIM 4.2, 1.5)."""
    rows = [(_DATASETS[key], value.encode()) for key, value in statements.items()]
    return b"".join(struct.pack(">BBBH", 0x1C, 2, dataset, len(value)) + value for dataset, value in rows)


def resources(block: bytes) -> bytes:
    """IPTC as an image resource of Photoshop."""
    return b"8BIM\x04\x04\0\0" + struct.pack(">I", len(block)) + block + b"\0" * (len(block) % 2)


def segment(marker: int, body: bytes, jpeg: bytes | None = None) -> bytes:
    """A JPEG with one more segment behind its first marker."""
    content = saved("JPEG") if jpeg is None else jpeg
    return content[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + content[2:]


def png_text(statements: Statements, *, packed: bool = False, international: bool = False) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, value in statements.items():
        if international:
            info.add_itxt(key, value, zip=packed)
        else:
            info.add_text(key, value, zip=packed)
    return saved("PNG", pnginfo=info)


def tiff(tag: int, block: bytes) -> bytes:
    info = Image.Exif()
    info[tag] = block
    return saved("TIFF", tiffinfo=info)


def video(
    form: str = "mp4",
    container: Statements | None = None,
    stream: Statements | None = None,
    codec: str = "mpeg4",
) -> bytes:
    """Eight frames, with tags of the container and of the stream."""
    target = io.BytesIO()
    with av.open(
        target, "w", format=form, options={"movflags": "use_metadata_tags"} if form == "mp4" else {}
    ) as output:
        output.metadata.update(container or {})
        track = output.add_stream(codec, rate=8)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        track.metadata.update(stream or {})
        for seed in range(8):
            output.mux(track.encode(av.VideoFrame.from_ndarray(np.asarray(picture(seed)), "rgb24")))
        output.mux(track.encode())
    return target.getvalue()


def mp4_encoder(value: str) -> bytes:
    """An MP4 whose encoder tag has a value: another tag is renamed, as FFmpeg writes only its own name there."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as output:
        output.metadata["comment"] = value
        track = output.add_stream("mpeg4", rate=8)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        output.mux(track.encode(av.VideoFrame.from_ndarray(np.asarray(picture()), "rgb24")))
        output.mux(track.encode())
    return target.getvalue().replace(b"\xa9too", b"\xa9wrt").replace(b"\xa9cmt", b"\xa9too")


def mp4_with_xmp(packet: bytes) -> bytes:
    body = _XMP_BOX + packet
    return video() + struct.pack(">I4s", len(body) + 8, b"uuid") + body


def container_tags(statements: Statements) -> bytes:
    return mp4_encoder(statements["encoder"]) if "encoder" in statements else video(container=statements)


CONTAINERS: dict[str, dict[str, Callable[[Statements], bytes]]] = {  # place of the statements -> file -> its maker
    "PNG text": {
        "tEXt": png_text,
        "zTXt": lambda statements: png_text(statements, packed=True),
        "iTXt": lambda statements: png_text(statements, international=True),
        "iTXt packed": lambda statements: png_text(statements, packed=True, international=True),
    },
    "EXIF": {
        "JPEG": lambda statements: saved("JPEG", exif=exif(statements)),
        "PNG": lambda statements: saved("PNG", exif=exif(statements)),
        "WebP": lambda statements: saved("WEBP", exif=exif(statements)),
        "TIFF": lambda statements: saved("TIFF", exif=exif(statements)),
        "AVIF": lambda statements: saved("AVIF", exif=exif(statements)),
        "HEIC": lambda statements: saved("HEIF", exif=exif(statements)),
    },
    "XMP": {
        "JPEG": lambda statements: saved("JPEG", xmp=xmp(statements)),
        "PNG": lambda statements: png_text({"XML:com.adobe.xmp": xmp(statements).decode()}, international=True),
        "WebP": lambda statements: saved("WEBP", xmp=xmp(statements)),
        "TIFF": lambda statements: tiff(700, xmp(statements)),
        "AVIF": lambda statements: saved("AVIF", xmp=xmp(statements)),
        "HEIC": lambda statements: saved("HEIF", xmp=xmp(statements)),
        "MP4": lambda statements: mp4_with_xmp(xmp(statements)),
    },
    "IPTC": {
        "JPEG": lambda statements: segment(0xED, b"Photoshop 3.0\0" + resources(iptc(statements))),
        "TIFF": lambda statements: tiff(33723, iptc(statements)),
    },
    "GIF comment": {"GIF": lambda statements: saved("GIF", comment=statements["comment"].encode())},
    "container": {"MP4": container_tags},
    "stream": {"MP4": lambda statements: video(stream=statements)},
    "bitstream": {"MP4": lambda _: video(codec="libx264")},
}


def preview(content: bytes, *, quality: int) -> bytes:
    """A JPEG of a picture as cameras write their thumbnails, at most 160 pixels wide and high."""
    with Image.open(io.BytesIO(content)) as image:
        small = image.convert("RGB")
    small.thumbnail((160, 160))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
