"""Tone mapping of HDR video (PQ and HLG, ITU-R BT.2100) to SDR video (BT.709).

The light of a pixel is mapped by the EETF of ITU-R BT.2390-10, section 5.4.1, from a display of 1000 cd/m2, for which
HDR video is usually made, to one of 203 cd/m2, the level of reference white in HDR video (ITU-R BT.2408). Dark and
middle tones keep their light, and highlights are compressed instead of clipped.
"""

from __future__ import annotations

import tempfile
import threading
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc

SOURCE_PEAK = 1000.0   # cd/m2 of the brightest source level; brighter ones are clipped.
TARGET_PEAK = 203.0    # cd/m2 of SDR white.
DISPLAY_GAMMA = 2.4    # Of SDR displays (ITU-R BT.1886).
TABLE_SIZE = 33        # Points of the lookup table along each axis.
RGB_FORMAT = "gbrp12le"
HDR_TRANSFERS = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
SDR_MATRICES = (1, 5, 6)   # AVColorSpace of BT.709 and BT.601.

PQ_M1, PQ_M2, PQ_C1, PQ_C2, PQ_C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128   # SMPTE ST 2084.
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073   # ITU-R BT.2100.
HLG_GAMMA = 1.2                                            # Of an HLG display of 1000 cd/m2.
LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
TO_709 = {   # Linear RGB of HDR primaries -> linear RGB of BT.709 (ITU-R BT.2407 for BT.2020).
    ColorPrimaries.BT2020: np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083],
                                     [-0.0182, -0.1006, 1.1187]]),
    ColorPrimaries.SMPTE432: np.array([[1.2249, -0.2247, -0.0002], [-0.0420, 1.0419, 0.0001],
                                       [-0.0197, -0.0786, 1.0983]]),
    ColorPrimaries.BT709: np.eye(3),
}

_of_thread = threading.local()


def is_hdr(frame: VideoFrame) -> bool:
    """Return True if a frame is tagged with the transfer characteristics PQ or HLG."""
    return frame.color_trc in HDR_TRANSFERS


def to_sdr(frame: VideoFrame, width: int | None = None, height: int | None = None,
           interpolation: str = "BICUBIC") -> VideoFrame:
    """Convert an HDR frame to SDR: 12-bit RGB of BT.709.

    Args:
        frame: a frame for which `is_hdr` is True.
        width: width in pixels to which the frame is scaled; None keeps it.
        height: height, likewise.
        interpolation: the scaling algorithm.
    """
    # HDR video has the matrix of BT.2020, also if its tag is missing.
    matrix = None if frame.format.is_rgb or frame.colorspace in SDR_MATRICES else Colorspace.BT2020
    rgb = frame.reformat(width, height, RGB_FORMAT, src_colorspace=matrix, interpolation=interpolation)
    primaries = ColorPrimaries.BT2020
    if frame.color_primaries in TO_709:
        primaries = ColorPrimaries(frame.color_primaries)
    graph = _graph(rgb.width, rgb.height, ColorTrc(frame.color_trc), primaries)
    rgb.pts, rgb.time_base = 0, Fraction(1)
    graph.push(rgb)
    result = graph.pull()
    result.pts = frame.pts
    if frame.time_base is not None:
        result.time_base = frame.time_base
    result.color_trc, result.color_primaries = ColorTrc.BT709, ColorPrimaries.BT709
    return result


def _graph(width: int, height: int, transfer: ColorTrc, primaries: ColorPrimaries) -> Graph:
    """Return this thread's filter graph that applies the lookup table to frames of a size."""
    graphs = _of_thread.__dict__.setdefault("graphs", {})   # Graphs cannot be shared between threads.
    key = (width, height, transfer, primaries)
    if key not in graphs:
        graph = Graph()
        source = graph.add_buffer(width=width, height=height, format=av.VideoFormat(RGB_FORMAT), time_base=Fraction(1))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "table.cube")
            path.write_text(_cube(transfer, primaries), encoding="ascii")
            table = graph.add("lut3d", file=str(path), interp="tetrahedral")   # Reads the file at once.
        sink = graph.add("buffersink")
        source.link_to(table)
        table.link_to(sink)
        graph.configure()
        graphs[key] = graph
    return graphs[key]


@lru_cache
def _cube(transfer: ColorTrc, primaries: ColorPrimaries) -> str:
    """Return the lookup table from HDR to SDR signals in the .cube format, in which red varies fastest."""
    axis = np.linspace(0, 1, TABLE_SIZE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    signals = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    lines = (" ".join(f"{value:.6f}" for value in row) for row in sdr_signals(signals, transfer, primaries))
    return "\n".join([f"LUT_3D_SIZE {TABLE_SIZE}", *lines, ""])


def sdr_signals(signals: np.ndarray, transfer: ColorTrc,
                primaries: ColorPrimaries = ColorPrimaries.BT2020) -> np.ndarray:
    """Convert HDR signals (N, 3), nonlinear RGB in [0, 1], to SDR signals of BT.709 in [0, 1]."""
    light = pq_to_light(signals) if transfer == ColorTrc.SMPTE2084 else hlg_to_light(signals)
    brightest = light.max(axis=1, keepdims=True)   # The same factor for all channels keeps the hue.
    factor = np.divide(tone_mapped(brightest), brightest, out=np.zeros_like(brightest), where=brightest > 0)
    linear = (light * factor / TARGET_PEAK) @ TO_709[primaries].T
    return linear.clip(0, 1) ** (1 / DISPLAY_GAMMA)


def tone_mapped(light: np.ndarray) -> np.ndarray:
    """Map light in cd/m2 from the source peak to the target peak by the EETF of BT.2390: a Hermite spline in PQ."""
    peak = light_to_pq(np.array(SOURCE_PEAK))
    level, highest = np.minimum(light_to_pq(light) / peak, 1), light_to_pq(np.array(TARGET_PEAK)) / peak
    knee = 1.5 * highest - 0.5
    t = (level - knee) / (1 - knee)
    spline = ((2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * highest)
    return pq_to_light(np.where(level < knee, level, spline) * peak)


def pq_to_light(signals: np.ndarray) -> np.ndarray:
    """Return the light in cd/m2 of PQ signals in [0, 1] (EOTF of SMPTE ST 2084)."""
    power = signals ** (1 / PQ_M2)
    return 10_000 * (np.maximum(power - PQ_C1, 0) / (PQ_C2 - PQ_C3 * power)) ** (1 / PQ_M1)


def light_to_pq(light: np.ndarray) -> np.ndarray:
    """Return the PQ signals in [0, 1] of light in cd/m2."""
    power = (light / 10_000) ** PQ_M1
    return ((PQ_C1 + PQ_C2 * power) / (1 + PQ_C3 * power)) ** PQ_M2


def hlg_to_light(signals: np.ndarray) -> np.ndarray:
    """Return the light (N, 3) in cd/m2 of HLG signals (N, 3) on a display of 1000 cd/m2 (inverse OETF and OOTF)."""
    scene = np.where(signals <= 0.5, signals**2 / 3, (np.exp((signals - HLG_C) / HLG_A) + HLG_B) / 12)
    luminance = (scene @ LUMA_2020)[:, None]
    return 1000 * luminance ** (HLG_GAMMA - 1) * scene
