"""Selection of the parts that a cut keeps: key shots within a budget, complete moments, or shorts."""

from .knapsack import key_shots

__all__ = ["key_shots"]
