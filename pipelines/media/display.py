"""Conversion of decoded frames to the form in which a player displays them: rotation, aspect ratio and colors."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from .tone_mapping import is_hdr, to_sdr

MAX_SAMPLE_ASPECT = 8   # A more extreme sample aspect ratio in a file is an error and is ignored.


@dataclass(frozen=True)
class Display:
    """The transformation from decoded frames to displayed frames.

    Attributes:
        stored_width: width in pixels to which a decoded frame is scaled so that its samples are square.
        stored_height: height, likewise.
        transposed: True if rows and columns are exchanged.
        flip_x: True if left and right are exchanged after transposing.
        flip_y: True if top and bottom are exchanged after transposing.
    """

    stored_width: int
    stored_height: int
    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def width(self) -> int:
        return self.stored_height if self.transposed else self.stored_width

    @property
    def height(self) -> int:
        return self.stored_width if self.transposed else self.stored_height

    @property
    def rotation_deg(self) -> int:
        """Counterclockwise rotation: 0, 90, 180 or 270; that of a mirrored frame is applied before mirroring."""
        return (90 if self.transposed else 0) + (180 if self.flip_y != self.transposed else 0)

    def apply(self, plane: np.ndarray) -> np.ndarray:
        """Return a view of a stored frame or plane (H, W, ...) in displayed orientation."""
        plane = plane.swapaxes(0, 1) if self.transposed else plane
        return plane[::-1 if self.flip_y else 1, ::-1 if self.flip_x else 1]


def display_of(frame: VideoFrame, stream: VideoStream) -> Display:
    """Return how a stream is displayed, from its sample aspect ratio and the display matrix of its first frame."""
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if not Fraction(1, MAX_SAMPLE_ASPECT) <= aspect <= MAX_SAMPLE_ASPECT:
        aspect = Fraction(1)
    width, height = frame.width, frame.height
    if aspect > 1:   # The frame is only ever enlarged, so that no line or column is lost.
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if matrix is None:
        return Display(width, height)
    # The matrix displays (x, y) at (a x + c y, b x + d y); each coefficient is a signed 16.16 number.
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Display(width, height, True, flip_x=c < 0, flip_y=b < 0)
    return Display(width, height, False, flip_x=a < 0, flip_y=d < 0)


def to_rgb(frame: VideoFrame, display: Display, short_side_px: int | None = None) -> np.ndarray:
    """Convert a frame to displayed orientation, (H, W, 3) uint8 RGB, C-contiguous; HDR becomes SDR.

    Args:
        frame: a decoded frame.
        display: geometry in which the stream is displayed.
        short_side_px: length to which the shorter side is scaled; None keeps the size.
    """
    width, height = display.stored_width, display.stored_height
    if short_side_px is not None:
        scale = Fraction(short_side_px, min(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    if is_hdr(frame):
        frame = to_sdr(frame, width, height)
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="BICUBIC")
    return np.ascontiguousarray(display.apply(pixels))


def to_yuv420p(frame: VideoFrame, display: Display) -> VideoFrame:
    """Convert a frame to displayed orientation, 8-bit 4:2:0 with limited range and even size; HDR becomes SDR.

    An odd last line or column is dropped. Nothing is scaled unless the samples are not square.
    """
    frame = to_sdr(frame) if is_hdr(frame) else frame
    width, height = (size - size % 2 or 2 for size in (display.stored_width, display.stored_height))
    only_cropped = (width, height) == (frame.width // 2 * 2, frame.height // 2 * 2)
    size = (frame.width, frame.height) if only_cropped else (width, height)
    colorspace = Colorspace.ITU709 if frame.format.is_rgb else None
    converted = frame.reformat(*size, "yuv420p", dst_colorspace=colorspace, interpolation="BICUBIC",
                               dst_color_range=ColorRange.MPEG)
    if size == (width, height) and not (display.transposed or display.flip_x or display.flip_y):
        return converted
    return _reoriented(converted, display, width, height)


def _reoriented(frame: VideoFrame, display: Display, width: int, height: int) -> VideoFrame:
    """Return a yuv420p frame cropped to its top left (width, height), both even, in displayed orientation."""
    displayed = (height, width) if display.transposed else (width, height)
    result = VideoFrame(*displayed, "yuv420p")
    for plane, target, shrink in zip(frame.planes, result.planes, (1, 2, 2), strict=True):
        stored = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height // shrink, :width // shrink]
        lines = np.frombuffer(target, np.uint8).reshape(-1, target.line_size)
        lines[:displayed[1] // shrink, :displayed[0] // shrink] = display.apply(stored)
    for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
        setattr(result, name, getattr(frame, name))
    return result
