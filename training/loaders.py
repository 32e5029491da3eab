"""Loaders whose order depends on seed and epoch alone, with one process or with several."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import torch
from nncore.dataset import DATASETS
from nncore.engine import comm
from nncore.parallel import DataContainer
from nncore.parallel import collate as pad_and_collate
from torch.utils.data import DataLoader, DistributedSampler, Sampler, default_collate

from common.build import build
from common.errors import InputError

OWN_KEYS = ("same_length",)   # of a config's `loader`, besides DataLoader's
OF_WORKERS = ("persistent_workers", "prefetch_factor", "multiprocessing_context")   # DataLoader takes none without
WORKERS = 4            # as the published configs have
CORES_PER_WORKER = 4   # without a GPU: fewer, and loading takes from the step more than it saves


class EqualLengths(Sampler):
    """Batches of items that have one number of clips, so that nothing is padded.

    A model that was trained without masking padded clips then predicts as it would one by one.

    Args:
        order: the indices; one with `set_epoch` is told the epoch.
        length: of an item by its index; asked once for each.
        batch_size: at most.
    """

    def __init__(self, order: DistributedSampler | range, length: Callable[[int], int], batch_size: int):
        self.order, self.length, self.batch_size = order, cache(length), batch_size

    def _batches(self) -> list[list[int]]:
        groups: dict[int, list[int]] = {}
        for index in self.order:
            groups.setdefault(self.length(index), []).append(index)
        return [group[i:i + self.batch_size] for group in groups.values()
                for i in range(0, len(group), self.batch_size)]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches())

    def __len__(self) -> int:
        return len(self._batches())

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)


def build_loader(cfg: dict, seed: int) -> DataLoader:
    """Builds a dataset and its loader.

    Args:
        cfg: the dataset's config; its `loader` has DataLoader's options, and `same_length` for
            batches that need no padding. `num_workers="auto"` is what `workers_here` says.
        seed: of the order.

    Returns:
        A loader whose sampler has `set_epoch`; with several processes each has its part of every batch,
        and the batch size is that of one process. Workers get seeds that depend on the epoch.
    """
    cfg = dict(cfg)
    options = dict(cfg.pop("loader", {}))
    dataset = build(cfg, DATASETS, where="data")
    rank, world = comm.get_dist_info()
    if world > 1 and options.get("shuffle") and options.get("same_length"):
        raise InputError("loader: same_length with shuffle gives processes different numbers of batches, so they would "
                         "wait for each other forever; leave one of them out")
    if options.pop("shuffle", False):
        order = DistributedSampler(dataset, num_replicas=world, rank=rank, seed=seed)
    else:
        order = range(rank, len(dataset), world)   # every item once; shuffled shares repeat some, to be of one size
    if options.pop("same_length", False):
        options["batch_sampler"] = EqualLengths(order, lambda i: dataset.num_clips(dataset.labels[i]),
                                                options.pop("batch_size", 1))
        options.pop("drop_last", None)
    else:
        options["sampler"] = order
    if options.get("num_workers") == "auto":
        options["num_workers"] = workers_here()
        if not options["num_workers"]:
            options = {key: value for key, value in options.items() if key not in OF_WORKERS}
    return DataLoader(dataset, **{"collate_fn": collate, "worker_init_fn": seed_worker, **options})


def workers_here() -> int:
    """Processes that load beside the step: four with a GPU, else one for every four cores, four at most."""
    return WORKERS if torch.cuda.is_available() else min(WORKERS, (os.cpu_count() or 1) // CORES_PER_WORKER)


def set_epoch(loader: DataLoader, epoch: int) -> None:
    """Tells a loader's sampler the epoch; loaders without such a sampler are left alone."""
    for sampler in (loader.batch_sampler, loader.sampler):
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)


def collate(items: list[dict]) -> dict:
    """A batch as nncore's `collate` makes it; where nothing is padded, without the copy that it makes to pad."""
    return {key: _stacked([item[key] for item in items]) for key in items[0]}


def _stacked(parts: list) -> object:
    first = parts[0]
    alike = isinstance(first, DataContainer) and first.stack and len({part.data.shape for part in parts}) == 1
    if not alike:
        return pad_and_collate(parts)
    return DataContainer([default_collate([part.data for part in parts])], stack=True, pad_value=first.pad_value,
                         pad_dims=first.pad_dims, cpu_only=first.cpu_only)


def seed_worker(worker: int) -> None:
    """Seeds numpy and random as torch has seeded this worker, differently in every epoch."""
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)
