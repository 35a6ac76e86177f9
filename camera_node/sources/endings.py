"""What a file is by its ending."""

from typing import Final

PICTURE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
)
VIDEO_SUFFIXES: Final = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mjpeg", ".mjpg", ".mpg", ".mpeg", ".ts"}
    | {".ogv", ".wmv", ".flv", ".3gp", ".h264"}
)
# What OpenCV does not read, or not reliably, and how it becomes something that it does.
NOT_TAKEN: Final = {
    ".heic": "heif-convert FILE.heic FILE.jpg, or let the telephone take JPEG",
    ".heif": "heif-convert FILE.heif FILE.jpg, or let the telephone take JPEG",
    ".avif": "convert it to .jpg",
    ".dng": "convert it to .jpg",
    ".mts": "ffmpeg -i FILE.mts -vf yadif FILE.mp4",
    ".m2ts": "ffmpeg -i FILE.m2ts -vf yadif FILE.mp4",
}
