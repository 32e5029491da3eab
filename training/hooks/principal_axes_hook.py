"""The hook that fits a model's principal axes to the training features."""

from __future__ import annotations

from nncore.engine import HOOKS, Hook

from training.engine import TrainingEngine


@HOOKS.register()
class PrincipalAxesHook(Hook):
    """A hook that calls `model.fit_axes` with the `video` features of every training item before the first step.

    The weights of a resumed training already contain the axes.
    """

    def before_launch(self, engine: TrainingEngine) -> None:
        """Fit the axes if the training is new."""
        dataset = engine.data_loaders["train"].dataset
        if engine.iter == 0:
            engine.bare_model.fit_axes(dataset[i]["video"].data for i in range(len(dataset)))
