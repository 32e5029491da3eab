"""Selection of what a summary keeps: key shots under a budget, whole moments, or shorts."""

from .knapsack import key_shots

__all__ = ["key_shots"]
