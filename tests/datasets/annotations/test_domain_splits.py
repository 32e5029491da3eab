"""Splits of TVSum and YouTube Highlights by domain."""

import pytest

from common.errors import InputError
from datasets.annotations.domain_splits import SPLITS, domain_videos


def test_domains_can_be_abbreviated():
    path = SPLITS / "youtube.json"
    names = dict(gym="gymnastics", par="parkour", ska="skating", ski="skiing", sur="surfing", dog="dog")
    for short, name in names.items():
        assert domain_videos(path, short, "val") == domain_videos(path, name, "val") != []
    with pytest.raises(InputError, match="no domain 'sk'"):
        domain_videos(path, "sk", "val")
