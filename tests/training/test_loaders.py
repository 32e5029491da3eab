"""Data loaders: global batches, reproducible order and workers, and collation."""

import random

import numpy as np
import pytest
import torch
from nncore.parallel import DataContainer
from nncore.parallel import collate as nncore_collate

from common.build import build
from datasets import DATASETS
from datasets.batches import outputs_by_item
from training.loaders import GlobalBatchSampler, build_loader, collate, default_num_workers, seed_worker, set_epoch

LENGTHS = [5, 3, 5, 5, 3, 9, 5]   # Clips of seven items.


def batches(shuffle=False, size=2, epoch=0, rank=0, world_size=1, length=LENGTHS.__getitem__, **options):
    sampler = GlobalBatchSampler(7, size, 1, shuffle, length, rank=rank, world_size=world_size, **options)
    sampler.set_epoch(epoch)
    assert len(sampler) == len(list(sampler))
    return list(sampler)


@pytest.fixture
def cfg(tiny):
    """Return the config of the tiny dataset's train split."""
    return dict(type="QVHighlights", label_path=str(tiny / "train.jsonl"), video_path=str(tiny / "video"),
                query_path=str(tiny / "text"))


def test_batches_hold_items_of_one_length_in_order():
    assert batches() == [[0, 2], [3, 6], [1, 4], [5]]
    assert batches(size=1) == [[0], [2], [3], [6], [1], [4], [5]]


def test_shuffled_batches_hold_every_item_once():
    found = batches(shuffle=True)
    assert sorted(i for batch in found for i in batch) == list(range(7))
    assert all(len({LENGTHS[i] for i in batch}) == 1 for batch in found)
    assert batches(shuffle=True) == found != batches(shuffle=True, epoch=1)


@pytest.mark.parametrize("length", [None, LENGTHS.__getitem__], ids=["any length", "one length"])
@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_batches_of_one_process(length, world_size):
    expected = batches(shuffle=True, size=4, epoch=2, length=length)
    by_rank = [batches(shuffle=True, size=4, epoch=2, length=length, rank=rank, world_size=world_size)
               for rank in range(world_size)]
    by_batch = list(zip(*by_rank, strict=True))
    assert [sorted(i for part in parts for i in part) for parts in by_batch] == list(map(sorted, expected))
    assert all(max(map(len, parts)) - min(map(len, parts)) <= 1 for parts in by_batch)


def test_a_batch_that_is_not_full_is_dropped_on_request():
    assert batches(size=4, length=None) == [[0, 1, 2, 3], [4, 5, 6]]
    assert batches(size=4, length=None, drop_last=True) == [[0, 1, 2, 3]]


def test_an_empty_part_becomes_an_item_that_counts_for_nothing(cfg):
    batch = collate([], build(cfg, DATASETS))
    assert batch["video"].data[0].shape == (1, 1, 6)
    assert batch["saliency"].data[0].tolist() == [[-1]]
    assert batch["boundary"].data[0].tolist() == [[[-1, -1]]]
    assert outputs_by_item([dict(meta=batch["meta"], saliency=torch.zeros(1, 1))]) == []


def test_the_order_depends_on_seed_and_epoch_only(cfg):
    def order(seed, epoch):
        loader = build_loader({**cfg, "loader": dict(batch_size=4, shuffle=True)}, seed)
        set_epoch(loader, epoch)
        return [label["qid"] for batch in loader for labels in batch["meta"].data for label in labels]

    torch.manual_seed(9)
    first = order(1, 0)
    torch.manual_seed(10)
    assert order(1, 0) == first
    assert sorted(first) == list(range(12))
    assert order(1, 1) != first != order(2, 0)


def test_same_length_uses_the_lengths_of_the_features(cfg):
    loader = build_loader({**cfg, "loader": dict(batch_size=5, same_length=True)}, 0)
    assert [batch["video"].data[0].shape for batch in loader] == [(5, 10, 6), (5, 10, 6), (2, 10, 6)]


@pytest.mark.parametrize("seed", [3, 2**40 + 3])
def test_workers_are_seeded_from_torch(seed):
    torch.manual_seed(seed)
    seed_worker(0)
    drawn = random.random(), np.random.rand()
    random.seed(3)
    np.random.seed(3)
    assert drawn == (random.random(), np.random.rand())


@pytest.mark.parametrize("lengths", [[4, 4, 4], [4, 2, 3]], ids=["without padding", "with padding"])
def test_batches_equal_those_of_nncore(lengths):
    items = [dict(video=DataContainer(torch.rand(n, 3)), query=DataContainer(torch.rand(n), pad_value=float("inf")),
                  meta=DataContainer(dict(vid=n), cpu_only=True)) for n in lengths]
    found, expected = collate(items), nncore_collate(items)
    assert found.keys() == expected.keys()
    assert found["meta"].data == expected["meta"].data
    for key in ("video", "query"):
        assert torch.equal(found[key].data[0], expected[key].data[0])
        for name in ("stack", "pad_value", "pad_dims", "cpu_only"):
            assert getattr(found[key], name) == getattr(expected[key], name)
    assert found["query"].pad_value == float("inf")


@pytest.mark.parametrize("has_gpu, cores, workers", [(True, 2, 4), (False, 2, 0), (False, 8, 2), (False, 64, 4)])
def test_the_number_of_workers_leaves_cores_to_the_training_step(monkeypatch, has_gpu, cores, workers):
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert default_num_workers() == workers


def test_random_numbers_of_workers_depend_on_seed_and_epoch_only(cfg):
    """`reorder` shuffles segments of a video in the worker processes."""
    cfg = {**cfg, "reorder": True, "loader": dict(batch_size=3, num_workers=2)}

    def drawn(seed, epoch):
        torch.manual_seed(random.randrange(1000))
        loader = build_loader(cfg, seed)
        set_epoch(loader, epoch)
        return torch.cat([batch["video"].data[0] for batch in loader])

    first = drawn(1, 0)
    assert torch.equal(drawn(1, 0), first)
    assert not torch.equal(drawn(1, 1), first)
    assert not torch.equal(drawn(2, 0), first)


def test_auto_uses_the_default_number_of_workers(monkeypatch, cfg):
    monkeypatch.setattr("training.loaders.default_num_workers", lambda: 1)
    found = [build_loader({**cfg, "loader": dict(batch_size=4, num_workers=n)}, 0).num_workers for n in ("auto", 2)]
    assert found == [1, 2]


def test_options_of_workers_are_ignored_without_workers(monkeypatch, cfg):
    monkeypatch.setattr("training.loaders.default_num_workers", lambda: 0)
    loader = dict(num_workers="auto", persistent_workers=True, prefetch_factor=4)
    assert build_loader({**cfg, "loader": loader}, 0).num_workers == 0
