"""Metrics as pure functions of predictions and labels; importing them needs no torch."""

from .qvhighlights import eval_qvhighlights

__all__ = ["eval_qvhighlights"]
