"""Locations that tests read: this checkout, and the optional data folder next to it."""

from common.paths import ROOT

SHARED = ROOT.parent / "shared"
GOLDEN = SHARED / "golden"
EVALUATOR_GOLDENS = GOLDEN / "evaluators.json"
VIDEOS = SHARED / "video"
