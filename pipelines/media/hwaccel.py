"""Hardware that decodes pictures, where FFmpeg and the machine have it."""

from __future__ import annotations

from functools import lru_cache

import av
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available


@lru_cache
def find_device(codec: str) -> str | None:
    """The first kind of device, such as `cuda` or `videotoolbox`, that FFmpeg opens for a codec; None without one.

    That a device opens does not mean that it decodes every stream; `frames_at` falls back where it does not.

    Args:
        codec: its name, as in `VideoInfo.codec`.
    """
    for device in hwdevices_available():
        try:
            HWAccel(device).create(Codec(codec, "r"))
        except (av.error.FFmpegError, NotImplementedError, ValueError):
            continue   # not for this codec, or not in this machine
        return device
    return None
