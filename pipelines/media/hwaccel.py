"""Hardware-accelerated video decoding."""

from __future__ import annotations

from functools import lru_cache

import av
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available


@lru_cache
def find_device(codec: str) -> str | None:
    """Return the first hardware device type that FFmpeg can open for a codec, such as `cuda`; None if there is none.

    A device that can be opened may still fail to decode a particular stream; `frames_at` then falls back to the CPU.

    Args:
        codec: canonical name of the codec, as in `VideoInfo.codec`.
    """
    for device in hwdevices_available():
        try:
            HWAccel(device).create(Codec(codec, "r"))
        except (av.error.FFmpegError, NotImplementedError, ValueError):
            continue   # The device does not support this codec, or is absent from this machine.
        return device
    return None
