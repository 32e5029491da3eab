import pytest

from pipelines.features.encode import encode_video
from pipelines.features.encoded_video import EncodedVideo
from tests.pipelines.fakes import color_encoders, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> EncodedVideo:
    """Encode a video of 20 s at 10 frames per second whose name has characters that are special in HTML and URLs."""
    path = write_video(tmp_path_factory.mktemp("v") / "a \"b\" & <i>c #1.mp4", ["red"] * 10 + ["blue"] * 10)
    return encode_video(path, color_encoders(), progress=False)
