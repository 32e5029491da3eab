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

LENGTHS = [5, 3, 5, 5, 3, 9, 5]


def batches(shuffle=False, size=2, epoch=0, rank=0, world=1, length=LENGTHS.__getitem__, **options):
    sampler = GlobalBatchSampler(7, size, 1, shuffle, length, rank=rank, world_size=world, **options)
    sampler.set_epoch(epoch)
    assert len(sampler) == len(list(sampler))
    return list(sampler)


def test_batches_hold_one_length_and_every_item_once():
    assert batches() == [[0, 2], [3, 6], [1, 4], [5]] and batches(size=1) == [[0], [2], [3], [6], [1], [4], [5]]
    found = batches(shuffle=True)
    assert sorted(i for batch in found for i in batch) == list(range(7))
    assert all(len({LENGTHS[i] for i in batch}) == 1 for batch in found)
    assert batches(shuffle=True) == found != batches(shuffle=True, epoch=1)


@pytest.mark.parametrize("length", [None, LENGTHS.__getitem__])
@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_batches_of_one(length, world):
    whole = batches(shuffle=True, size=4, epoch=2, length=length)
    parts = [batches(shuffle=True, size=4, epoch=2, length=length, rank=rank, world=world) for rank in range(world)]
    assert [sorted(i for part in share for i in part) for share in zip(*parts, strict=True)] == list(map(sorted, whole))
    assert all(max(map(len, share)) - min(map(len, share)) <= 1 for share in zip(*parts, strict=True))


def test_a_batch_that_is_not_full_is_left_out_on_request():
    assert batches(size=4, length=None) == [[0, 1, 2, 3], [4, 5, 6]]
    assert batches(size=4, length=None, drop_last=True) == [[0, 1, 2, 3]]


def test_an_empty_part_is_an_item_that_counts_for_nothing(tiny):
    cfg = dict(type="QVHighlights", label_path=str(tiny / "train.jsonl"), video_path=str(tiny / "video"),
               query_path=str(tiny / "text"))
    batch = collate([], build(cfg, DATASETS))
    assert batch["video"].data[0].shape == (1, 1, 6) and batch["saliency"].data[0].tolist() == [[-1]]
    assert batch["boundary"].data[0].tolist() == [[[-1, -1]]]
    assert outputs_by_item([dict(meta=batch["meta"], saliency=torch.zeros(1, 1))]) == []


def test_order_depends_on_seed_and_epoch_alone(tiny):
    cfg = dict(type="QVHighlights", label_path=str(tiny / "train.jsonl"), video_path=str(tiny / "video"),
               query_path=str(tiny / "text"), loader=dict(batch_size=4, shuffle=True))

    def order(seed, epoch):
        loader = build_loader(cfg, seed)
        set_epoch(loader, epoch)
        return [label["qid"] for batch in loader for part in batch["meta"].data for label in part]

    torch.manual_seed(9)
    first = order(1, 0)
    torch.manual_seed(10)
    assert order(1, 0) == first and sorted(first) == list(range(12))
    assert order(1, 1) != first != order(2, 0)


def test_lengths_are_those_of_the_features(tiny):
    cfg = dict(type="QVHighlights", label_path=str(tiny / "train.jsonl"), video_path=str(tiny / "video"),
               query_path=str(tiny / "text"), loader=dict(batch_size=5, same_length=True))
    sizes = [batch["video"].data[0].shape for batch in build_loader(cfg, 0)]
    assert sizes == [(5, 10, 6), (5, 10, 6), (2, 10, 6)]


@pytest.mark.parametrize("seed", [3, 2**40 + 3])
def test_workers_are_seeded_as_torch_is(seed):
    torch.manual_seed(seed)
    seed_worker(0)
    drawn = random.random(), np.random.rand()
    random.seed(3), np.random.seed(3)
    assert drawn == (random.random(), np.random.rand())


@pytest.mark.parametrize("lengths", [[4, 4, 4], [4, 2, 3]])
def test_batches_are_those_of_nncore(lengths):
    items = [dict(video=DataContainer(torch.rand(n, 3)), query=DataContainer(torch.rand(n), pad_value=float("inf")),
                  meta=DataContainer(dict(vid=n), cpu_only=True)) for n in lengths]
    found, expected = collate(items), nncore_collate(items)
    assert found.keys() == expected.keys() and found["meta"].data == expected["meta"].data
    for key in ("video", "query"):
        assert torch.equal(found[key].data[0], expected[key].data[0])
        for name in ("stack", "pad_value", "pad_dims", "cpu_only"):
            assert getattr(found[key], name) == getattr(expected[key], name)
    assert found["query"].pad_value == float("inf")


@pytest.mark.parametrize("gpu, cores, workers", [(True, 2, 4), (False, 2, 0), (False, 8, 2), (False, 64, 4)])
def test_workers_leave_the_cores_to_the_step(monkeypatch, gpu, cores, workers):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert default_num_workers() == workers


def test_workers_draw_by_seed_and_epoch_alone(tiny):
    """Real workers shuffle the pieces of videos: each epoch otherwise, and the same again whatever was drawn before."""
    cfg = dict(type="QVHighlights", label_path=str(tiny / "train.jsonl"), video_path=str(tiny / "video"),
               query_path=str(tiny / "text"), reorder=True, loader=dict(batch_size=3, num_workers=2))

    def drawn(seed, epoch):
        torch.manual_seed(random.randrange(1000))
        loader = build_loader(cfg, seed)
        set_epoch(loader, epoch)
        return torch.cat([batch["video"].data[0] for batch in loader])

    first = drawn(1, 0)
    assert torch.equal(drawn(1, 0), first)
    assert not torch.equal(drawn(1, 1), first) and not torch.equal(drawn(2, 0), first)


def test_auto_asks_the_machine(monkeypatch, tiny):
    monkeypatch.setattr("training.loaders.default_num_workers", lambda: 1)
    cfg = dict(type="QVHighlights", label_path=str(tiny / "train.jsonl"), video_path=str(tiny / "video"),
               query_path=str(tiny / "text"))
    found = [build_loader({**cfg, "loader": dict(batch_size=4, num_workers=n)}, 0).num_workers for n in ("auto", 2)]
    assert found == [1, 2]
    monkeypatch.setattr("training.loaders.default_num_workers", lambda: 0)
    loader = build_loader({**cfg, "loader": dict(num_workers="auto", persistent_workers=True, prefetch_factor=4)}, 0)
    assert loader.num_workers == 0
