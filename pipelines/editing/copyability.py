"""Declare which videos cannot be stream-copied to an mp4, and why."""

from __future__ import annotations

from av.container import InputContainer
from av.video.stream import VideoStream

from common.errors import InputError
from pipelines.media.container import open_video, supports_exact_seek
from pipelines.media.probe import VideoInfo

COPYABLE_CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")   # Video codecs that players expect in an mp4.
HINT = "leave out --copy"


class NotCopyableError(InputError):
    """A video, or pieces of one, that cannot be stream-copied, but possibly re-encoded.

    An export without `copy="always"` re-encodes the video instead, see `pipelines.export.plan.choose_cut_method`.
    """


def not_copyable(info: VideoInfo, reason: str) -> NotCopyableError:
    """Return the error for a video that cannot be copied for a reason, such as "its video codec (vp8) ..."."""
    return NotCopyableError(info.path, reason, HINT)


def copy_obstacle(info: VideoInfo, container: InputContainer, stream: VideoStream) -> str | None:
    """Return the reason why no part of a video can be copied to an mp4, or None if there is none.

    Every property of a file that rules out a copy is declared here. Obstacles in single pieces, which only their
    packets reveal, are raised as `not_copyable` when the pieces are planned or written.

    Args:
        info: properties of the video.
        container: the open file.
        stream: the video stream of the file.
    """
    if info.codec not in COPYABLE_CODECS:
        return f"its video codec ({info.codec}) cannot be copied to an mp4, only {', '.join(COPYABLE_CODECS)} can"
    if not supports_exact_seek(container):
        return f"its time stamps ({container.format.name}) are not exact enough to copy"
    return None


def check_copy(info: VideoInfo) -> None:
    """Check that the video stream of a file can be copied to an mp4.

    Raises:
        NotCopyableError: there is a `copy_obstacle`.
        InputError: the file cannot be read.
    """
    with open_video(info.path) as (container, stream):
        reason = copy_obstacle(info, container, stream)
    if reason is not None:
        raise not_copyable(info, reason)
