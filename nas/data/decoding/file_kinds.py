"""Kinds of files, by suffix and by their first bytes."""

from __future__ import annotations

from pathlib import Path, PurePath

HEAD_BYTES = 512
"""Bytes of a file that `image_format` and `content_kind` look at."""

# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".apng", ".avif", ".avifs", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jif", ".jp2", ".jpc", ".jpe", ".jpeg",
    ".jpf", ".jpg", ".jpx", ".pbm", ".pcx", ".pgm", ".pjp", ".pjpeg", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff",
    ".webp",
})
# fmt: on
UNREADABLE_SUFFIXES = frozenset({".heic", ".heif", ".jxl", ".svg", ".psd", ".dcm", ".dng", ".cr2", ".nef", ".arw"})
"""Suffixes of pictures in formats that Pillow does not read."""

VIDEO = "a video"
"""Kind of a file of moving pictures."""

_IMAGES = (
    (b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"), (b"\xff\x4f\xff\x51", "JPEG 2000"),
)  # fmt: skip
_OTHERS = (
    (b"version https://git-lfs", "a pointer of Git LFS without its content (git lfs pull)"),
    (b"%PDF", "a PDF"), (b"PK\x03\x04", "a zip archive"), (b"\x1f\x8b", "a gzip archive"), (b"\x93NUMPY", "an array"),
    (b"8BPS", "a Photoshop file"), (b"%!PS", "PostScript"), (b"\x1aE\xdf\xa3", VIDEO), (b"\0\0\x01\xba", VIDEO),
    (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL ", "JPEG XL"),
)  # fmt: skip


def has_image_suffix(name: str) -> bool:
    """Return True for a name with the suffix of an image format, read or not, in any case."""
    suffix = PurePath(name).suffix.lower()
    return suffix in IMAGE_SUFFIXES or suffix in UNREADABLE_SUFFIXES


def image_format(head: bytes) -> str | None:
    """Return the image format that a file's first bytes are of; None for other content.

    Only formats with a distinctive start are found; the others are recognised by suffix.
    """
    for start, name in _IMAGES:
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    if head[:2] == b"BM" and len(head) >= 26 and head[6:10] == b"\0\0\0\0":
        return "BMP"
    is_netpbm = head[:1] == b"P" and head[1:2] in (*(b"%d" % n for n in range(1, 7)),) and head[2:3].isspace()
    return "Netpbm" if is_netpbm and head[3:4] in (b"#", *(b"%d" % n for n in range(10))) else None


def file_kind(path: Path) -> str:
    """Describe the content of a file that is no image which can be read."""
    with path.open("rb") as file:
        return content_kind(file.read(HEAD_BYTES))


def content_kind(head: bytes) -> str:
    """Describe content that is no image which can be read, as far as its first bytes tell."""
    for start, name in _OTHERS:
        if head.startswith(start):
            return name
    if head[4:8] == b"ftyp":
        return "HEIC" if head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1") else VIDEO
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return VIDEO
    if head[128:132] == b"DICM":
        return "a DICOM image"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if text.startswith(b"<svg") or (text.startswith(b"<?xml") and b"<svg" in text):
        return "SVG"
    return "text" if text and _is_text(head) else "unknown content"


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # A character cut off by the end.
    return True
