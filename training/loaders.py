"""Loaders whose order depends on seed and epoch alone, with one process or with several."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import torch
from nncore.dataset import DATASETS
from nncore.engine import comm
from nncore.parallel import DataContainer
from nncore.parallel import collate as pad_and_collate
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from common.build import build
from datasets.feature_dataset import ABSENT

OWN_KEYS = ("same_length",)   # of a config's `loader`, besides DataLoader's
OF_WORKERS = ("persistent_workers", "prefetch_factor", "multiprocessing_context")   # DataLoader takes none without
WORKERS = 4            # as the published configs have
CORES_PER_WORKER = 4   # without a GPU: fewer, and loading takes from the step more than it saves


class GlobalBatches(Sampler):
    """Deals the batches that one process would have to several: each gets its part of every batch.

    So losses and metrics of several processes are those of one with the whole batch, and all have as many
    batches. Where a batch has fewer items than there are processes, some get an empty part, of which
    `collate` makes an item that counts for nothing.

    Args:
        number: of items.
        batch_size: of the whole batch, at most.
        seed: of the order.
        shuffle: whether the order is another in each epoch; else it is that of the dataset.
        length: clips of an item by its index, asked once for each: batches then hold items of one length, so
            that nothing is padded, and a model that was trained without masking padded clips predicts as it
            would one by one. None for batches as they come.
        drop_last: whether a last batch that is not full is left out.
        rank, world: which of how many processes this is.
    """

    def __init__(self, number: int, batch_size: int, seed: int = 0, shuffle: bool = False,
                 length: Callable[[int], int] | None = None, drop_last: bool = False, rank: int = 0, world: int = 1):
        self.number, self.batch_size, self.seed, self.shuffle = number, batch_size, seed, shuffle
        self.drop_last = drop_last
        self.length = cache(length) if length is not None else None
        self.rank, self.world, self.epoch = rank, world, 0

    def _batches(self) -> list[list[int]]:
        order = list(range(self.number))
        if self.shuffle:
            drawn = torch.Generator().manual_seed(self.seed + self.epoch)
            order = torch.randperm(self.number, generator=drawn).tolist()
        groups: dict[int | None, list[int]] = {}
        for index in order:
            groups.setdefault(None if self.length is None else self.length(index), []).append(index)
        return [group[i:i + self.batch_size] for group in groups.values()
                for i in range(0, len(group), self.batch_size)
                if not self.drop_last or i + self.batch_size <= len(group)]

    def __iter__(self) -> Iterator[list[int]]:
        """Indices of this process's part of each batch; may be empty."""
        return iter([batch[self.rank::self.world] for batch in self._batches()])

    def __len__(self) -> int:
        return len(self._batches())

    def set_epoch(self, epoch: int) -> None:
        """Makes the next round that of an epoch, counted from 0: each is shuffled in another order."""
        self.epoch = epoch


def build_loader(cfg: dict, seed: int) -> DataLoader:
    """Builds a dataset and its loader, see `make_loader`; each process has its part of every batch.

    Args:
        cfg: the dataset's config; its `loader` has the options.
        seed: of the order.
    """
    cfg = dict(cfg)
    options = cfg.pop("loader", {})
    rank, world = comm.get_dist_info()
    return make_loader(build(cfg, DATASETS, location="data"), options, seed, rank, world)


def make_loader(dataset: Dataset, options: dict, seed: int, rank: int = 0, world: int = 1) -> DataLoader:
    """A dataset's batches.

    Args:
        dataset: items of nncore's containers; with `num_clips` and `labels` for `same_length`.
        options: DataLoader's, and `same_length` for batches that need no padding. `num_workers="auto"` is what
            `workers_here` says.
        seed: of the order, and of the workers.
        rank, world: which of how many processes this is; the batch size is that of one.

    Returns:
        A loader that `set_epoch` tells the epoch; its workers get seeds that depend on seed and epoch alone.
    """
    options = dict(options)
    shuffle, same_length = options.pop("shuffle", False), options.pop("same_length", False)
    sampler = GlobalBatches(
        len(dataset), options.pop("batch_size", 1) * world, seed, shuffle,
        (lambda i: dataset.num_clips(dataset.labels[i])) if same_length else None,
        options.pop("drop_last", False), rank, world)
    if options.get("num_workers") == "auto":
        options["num_workers"] = workers_here()
    if not options.get("num_workers"):
        options = {key: value for key, value in options.items() if key not in OF_WORKERS}
    elif not options.get("generator"):
        options["generator"] = torch.Generator()   # of the seeds that workers get
    loader = DataLoader(dataset, batch_sampler=sampler, **{
        "collate_fn": partial(collate, dataset=dataset), "worker_init_fn": seed_worker, **options})
    set_epoch(loader, 0)
    return loader


def workers_here() -> int:
    """Processes that load beside the step: four with a GPU, else one for every four cores, four at most."""
    return WORKERS if torch.cuda.is_available() else min(WORKERS, (os.cpu_count() or 1) // CORES_PER_WORKER)


def set_epoch(loader: DataLoader, epoch: int) -> None:
    """Tells a loader's sampler and the seeds of its workers the epoch; other loaders are left alone."""
    sampler = loader.batch_sampler
    if isinstance(sampler, GlobalBatches):
        sampler.set_epoch(epoch)
        if loader.generator is not None:
            entropy = np.random.SeedSequence([sampler.seed, epoch, sampler.rank])
            loader.generator.manual_seed(int(entropy.generate_state(1)[0]))


def collate(items: list[dict], dataset: Dataset | None = None) -> dict:
    """A batch as nncore's `collate` makes it; where nothing is padded, without the copy that it makes to pad.

    Args:
        items: of the dataset; none makes a batch of one item without clips, windows and label.
        dataset: what says how such an item looks.
    """
    items = items or [_without_clips(dataset[0])]
    return {key: _stacked([item[key] for item in items]) for key in items[0]}


def _without_clips(item: dict) -> dict:
    """The item with one row of each stream, so that it is no longer than others, which is padding."""
    item = {key: DataContainer(part.data[:1]) if key in ("video", "audio") else part for key, part in item.items()}
    item["saliency"] = DataContainer(torch.full((1,), -1.0), pad_value=-1)
    if "boundary" in item:
        item["boundary"] = DataContainer(torch.full((1, 2), -1.0), pad_value=-1)
    return {**item, "meta": DataContainer(ABSENT, cpu_only=True)}


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
