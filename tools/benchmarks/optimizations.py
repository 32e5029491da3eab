"""Measure what each CPU optimization gains: the product without it is the reference.

Each row names the module or function of the optimization. One that gains less than 15 % on all machines is not worth
its code.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

from common.paths import ROOT

from . import Row, measure_seconds
from .training import BATCH_SIZE, NUM_VIDEOS, Variant, measure_steps
from .video import make_video

IMAGES = 16
CUT_S = [(10, 20), (60, 70), (100, 110), (150, 160)]   # The pieces of the cut.
CUT_VIDEO_S = 180

# Encodes one query in a new process, including the imports, like a command. The two networks have the same weights.
ENCODE_QUERY = """
from models.encoders.mini_lm_text import MiniLMText
MiniLMText().encode(["a dog runs"])
"""
ENCODE_QUERY_WITH_TRANSFORMERS = """
import torch
from models.encoders.mini_lm_text import PACKAGE, WEIGHTS
from models.encoders.weights import find_in_package
from transformers import AutoTokenizer, BertModel
folder = find_in_package(PACKAGE, *WEIGHTS).parent
tokenizer, network = AutoTokenizer.from_pretrained(folder), BertModel.from_pretrained(folder, add_pooling_layer=False)
with torch.inference_mode():
    network(**tokenizer(["a dog runs"], return_tensors="pt"))
"""


def measure() -> Iterator[Row]:
    """Measure all optimizations that this machine can run."""
    yield from training_rows()
    yield batch_norm_row()
    yield from bfloat16_rows()
    yield bert_row()
    yield parallel_encoding_row()


def training_rows() -> Iterator[Row]:
    """Yield a training step of UMT without each of the optimizations of training."""
    import datasets
    import models  # noqa: F401  Registers the models.

    from . import synthetic

    datasets.register()
    with tempfile.TemporaryDirectory() as folder:
        data = synthetic.pack_data_set(synthetic.write_data_set(Path(folder), NUM_VIDEOS))
        names = ["cpu.onednn_linear", "cpu.fast_dropout"]
        product_s, *others_s = _in_new_process(partial(_steps, data, [(), *((name,) for name in names)]))
        for name, other_s in zip(names, others_s, strict=True):
            yield Row(f"training step of {BATCH_SIZE}: models.{name}", other_s, product_s)
        default_s, = _in_new_process(partial(_steps, data, [()], retain=False))
        yield Row(f"training step of {BATCH_SIZE}: retain_freed_memory", default_s, product_s)


def _steps(data: dict, disabled: list[tuple[str, ...]], retain: bool = True) -> list[float]:
    """Return the seconds per step without each group of optimizations.

    Args:
        data: options of the data set.
        disabled: groups of names of `training.OPTIMIZATIONS`.
        retain: False to leave freed memory to the defaults of the C library.
    """
    import datasets
    import models  # noqa: F401
    from common.memory import retain_freed_memory

    datasets.register()
    if retain:
        retain_freed_memory()
    return [seconds for seconds, _ in measure_steps([Variant(data, disabled=names) for names in disabled])]


def _in_new_process(run) -> list[float]:
    """Return the result of a function that runs in a new process, because settings of malloc cannot be undone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(run)


def batch_norm_row() -> Row:
    """Measure the image encoder of the default with and without folded batch norms."""
    import torch

    from models.encoders import efficient_net_conse
    from models.encoders.efficient_net_conse import EfficientNetConSE

    product = EfficientNetConSE().eval()
    with patch.object(efficient_net_conse, "fold_batch_norms", lambda *_: None):
        reference = EfficientNetConSE().eval()
    images = torch.randn(IMAGES, 3, product.size_px, product.size_px)
    with torch.inference_mode():
        return Row(f"{IMAGES} images: models.cpu.batch_norm_folding", measure_seconds(partial(reference, images)),
                   measure_seconds(partial(product, images)))


def bfloat16_rows() -> Iterator[Row]:
    """Measure CLIP's image encoder with and without `BFloat16ViT`, if the CPU has bfloat16."""
    import torch

    from models.device import cpu_has_bfloat16

    from .features import random_clip

    if not cpu_has_bfloat16():
        return
    product, reference = random_clip(), random_clip()
    reference.bfloat16_vit = None
    images = torch.randn(IMAGES, 3, product.size_px, product.size_px)
    with torch.inference_mode():
        yield Row(f"{IMAGES} images of CLIP: models.cpu.bfloat16_vit", measure_seconds(partial(reference, images)),
                  measure_seconds(partial(product, images)))


def bert_row() -> Row:
    """Measure the embedding of one query in a new process, with the library `transformers` as the reference."""
    def encode(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)

    return Row("one query: models.cpu.bert_encoder", measure_seconds(partial(encode, ENCODE_QUERY_WITH_TRANSFORMERS)),
               measure_seconds(partial(encode, ENCODE_QUERY)))


def parallel_encoding_row() -> Row:
    """Measure a cut whose pieces are encoded in parallel or one after another, both with all cores."""
    from pipelines.editing import reencode

    with tempfile.TemporaryDirectory() as folder:
        segment = make_video(Path(folder) / "segment.mp4")
        video = make_video(Path(folder) / "video.mp4", CUT_VIDEO_S, segment)
        cut = partial(reencode.cut, video, CUT_S, Path(folder) / "cut.mp4")
        with patch.object(reencode, "MAX_ENCODERS", 1):
            reference_s = measure_seconds(cut)
        return Row(f"cut of {len(CUT_S)} pieces: parallel encoding", reference_s, measure_seconds(cut))
