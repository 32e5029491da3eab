"""Hooks for the training engine. Importing this package registers them in nncore's HOOKS."""

from .best_checkpoint_hook import BestCheckpointHook, StopTraining
from .last_checkpoint_hook import LastCheckpointHook
from .principal_axes_hook import PrincipalAxesHook
from .step_hook import StepHook

__all__ = ["BestCheckpointHook", "LastCheckpointHook", "PrincipalAxesHook", "StepHook", "StopTraining"]
