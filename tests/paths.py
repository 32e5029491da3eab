"""Locations that tests read: this checkout, and the optional data folder next to it."""

from common.paths import ROOT

SHARED = ROOT.parent / "shared"
VIDEOS = SHARED / "video"
