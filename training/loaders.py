"""Data loaders whose order depends on seed and epoch only, with one process or several."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from nncore.dataset import DATASETS
from nncore.engine import comm
from nncore.parallel import DataContainer
from nncore.parallel import collate as pad_and_collate
from torch.utils.data import DataLoader, Sampler, default_collate

from common.build import build
from datasets.batches import PLACEHOLDER_LABEL

EXTRA_LOADER_KEYS = ("same_length",)   # Keys of a config's `loader` that DataLoader does not have.
# DataLoader rejects these options if it has no worker processes.
WORKER_OPTIONS = ("persistent_workers", "prefetch_factor", "multiprocessing_context")
MAX_WORKERS = 4        # The published configs use this number.
CORES_PER_WORKER = 4   # Without a GPU, more workers take more time from the training step than they save.


class GlobalBatchSampler(Sampler):
    """A batch sampler that splits every global batch between the processes.

    Losses and metrics of several processes therefore equal those of one process with the global batch, and all
    processes have the same number of batches. If a batch has fewer items than there are processes, some parts are
    empty; `collate` turns an empty part into a padding item that counts for nothing.

    Args:
        num_items: number of items in the dataset.
        batch_size: maximum size of the global batch.
        seed: random seed of the order.
        shuffle: draw another order in every epoch; False keeps the order of the dataset.
        length: maps the index of an item to its number of clips, and is called once per item. Batches then hold items
            of one length, so that nothing is padded, and a model that was trained without masking padded clips
            predicts the same as one by one. None puts items of any length into a batch.
        drop_last: leave out a last batch that is not full.
        rank: index of this process.
        world_size: number of processes.
    """

    def __init__(self, num_items: int, batch_size: int, seed: int = 0, shuffle: bool = False,
                 length: Callable[[int], int] | None = None, drop_last: bool = False, rank: int = 0,
                 world_size: int = 1):
        self.num_items, self.batch_size, self.seed, self.shuffle = num_items, batch_size, seed, shuffle
        self.drop_last = drop_last
        self.length = cache(length) if length is not None else None
        self.rank, self.world_size, self.epoch = rank, world_size, 0

    def _global_batches(self) -> list[list[int]]:
        order = list(range(self.num_items))
        if self.shuffle:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            order = torch.randperm(self.num_items, generator=generator).tolist()
        groups: dict[int | None, list[int]] = {}
        for index in order:
            groups.setdefault(None if self.length is None else self.length(index), []).append(index)
        return [group[i:i + self.batch_size] for group in groups.values()
                for i in range(0, len(group), self.batch_size)
                if not self.drop_last or i + self.batch_size <= len(group)]

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the indices of this process's part of each batch, which may be empty."""
        return iter([batch[self.rank::self.world_size] for batch in self._global_batches()])

    def __len__(self) -> int:
        return len(self._global_batches())

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0; a shuffling sampler has another order in each epoch."""
        self.epoch = epoch


def build_loader(cfg: dict, seed: int) -> DataLoader:
    """Build a dataset and its loader, see `make_loader`; each process gets its part of every batch.

    Args:
        cfg: config of the dataset, with the loader's options as `loader`.
        seed: random seed of the order.
    """
    cfg = dict(cfg)
    options = cfg.pop("loader", {})
    rank, world_size = comm.get_dist_info()
    return make_loader(build(cfg, DATASETS, location="data"), options, seed, rank, world_size)


def make_loader(dataset: Any, options: dict, seed: int, rank: int = 0, world_size: int = 1) -> DataLoader:
    """Make a loader of a dataset's batches.

    Args:
        dataset: items in nncore's containers; `same_length` requires `num_clips` and `labels`.
        options: options of DataLoader, and `same_length` for batches without padding. `num_workers="auto"` selects
            `default_num_workers()`. The batch size is that of one process.
        seed: random seed of the order and of the workers.
        rank: index of this process.
        world_size: number of processes.

    Returns:
        A loader for `set_epoch`, whose workers get seeds that depend on seed and epoch only.
    """
    options = dict(options)
    shuffle, same_length = options.pop("shuffle", False), options.pop("same_length", False)
    sampler = GlobalBatchSampler(
        len(dataset), options.pop("batch_size", 1) * world_size, seed, shuffle,
        (lambda i: dataset.num_clips(dataset.labels[i])) if same_length else None,
        options.pop("drop_last", False), rank, world_size)
    if options.get("num_workers") == "auto":
        options["num_workers"] = default_num_workers()
    if not options.get("num_workers"):
        options = {key: value for key, value in options.items() if key not in WORKER_OPTIONS}
    elif not options.get("generator"):
        options["generator"] = torch.Generator()   # The workers' seeds are drawn from it.
    loader = DataLoader(dataset, batch_sampler=sampler, **{
        "collate_fn": partial(collate, dataset=dataset), "worker_init_fn": seed_worker, **options})
    set_epoch(loader, 0)
    return loader


def default_num_workers() -> int:
    """Return the number of loader processes for this machine: 4 with a GPU, else one per four cores, up to 4."""
    return MAX_WORKERS if torch.cuda.is_available() else min(MAX_WORKERS, (os.cpu_count() or 1) // CORES_PER_WORKER)


def set_epoch(loader: DataLoader, epoch: int) -> None:
    """Set the epoch of a loader's sampler and seed its workers for it; loaders of other kinds are left unchanged."""
    sampler = loader.batch_sampler
    if isinstance(sampler, GlobalBatchSampler):
        sampler.set_epoch(epoch)
        if loader.generator is not None:
            entropy = np.random.SeedSequence([sampler.seed, epoch, sampler.rank])
            loader.generator.manual_seed(int(entropy.generate_state(1)[0]))


def collate(items: list[dict], dataset: Any = None) -> dict:
    """Collate items like nncore's `collate`, but without its copy if nothing needs padding.

    Args:
        items: items of the dataset; an empty list makes a batch of one padding item.
        dataset: the source of a template for the padding item; required if `items` may be empty.
    """
    items = items or [_padding_item(dataset[0])]
    return {key: _collate_values([item[key] for item in items]) for key in items[0]}


def _padding_item(template: dict) -> dict:
    """Return an item of padding only: one row per stream, no valid clip, no window and no label."""
    item = {key: DataContainer(value.data[:1]) if key in ("video", "audio") else value
            for key, value in template.items()}
    item["saliency"] = DataContainer(torch.full((1,), -1.0), pad_value=-1)
    if "boundary" in item:
        item["boundary"] = DataContainer(torch.full((1, 2), -1.0), pad_value=-1)
    return {**item, "meta": DataContainer(PLACEHOLDER_LABEL, cpu_only=True)}


def _collate_values(values: list) -> object:
    first = values[0]
    same_shape = isinstance(first, DataContainer) and first.stack and len({value.data.shape for value in values}) == 1
    if not same_shape:
        return pad_and_collate(values)
    return DataContainer([default_collate([value.data for value in values])], stack=True, pad_value=first.pad_value,
                         pad_dims=first.pad_dims, cpu_only=first.cpu_only)


def seed_worker(worker_id: int) -> None:
    """Seed numpy and random of a loader process from torch's seed, which differs in every epoch."""
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)
