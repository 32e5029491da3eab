"""Hooks for nncore's Engine; importing this registers them in HOOKS."""

from .best_checkpoint_hook import BestCheckpointHook
from .last_checkpoint_hook import LastCheckpointHook

__all__ = ["BestCheckpointHook", "LastCheckpointHook"]
