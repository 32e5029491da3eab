"""Lets a model find the principal axes of its training features before its first step."""

from __future__ import annotations

from nncore.engine import HOOKS, Engine, Hook


@HOOKS.register()
class PrincipalAxesHook(Hook):
    """Calls `model.fit_axes` with the `video` of every training item; a resumed training has its axes already."""

    def before_launch(self, engine: Engine) -> None:
        """Fits the axes, in a training that begins."""
        model = getattr(engine.model, "module", engine.model)
        dataset = engine.data_loaders["train"].dataset
        if engine.iter == 0:
            model.fit_axes(dataset[i]["video"].data for i in range(len(dataset)))
