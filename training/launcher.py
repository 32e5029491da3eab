"""From a config to a trained and evaluated model, on nncore's Engine."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
import torch.nn as nn
from nncore.engine import Engine, comm, set_random_seed
from nncore.parallel import NNDataParallel, NNDistributedDataParallel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

import datasets
import models  # noqa: F401  registers the models
from common.config import load_config
from common.errors import InputError
from common.files import atomic_path, make_folder, write_json
from common.memory import retain_freed_memory
from models.checkpoint import load_checkpoint
from models.encoders.base import cpu_has_bfloat16
from training.hooks.best_checkpoint_hook import best, watched

from .baselines import beside, format_table
from .checkpoints import identity as identity_of
from .checkpoints import read_resumable
from .checkpoints import resume as resume_from
from .config import config_faults
from .config_schema import is_whole
from .dry_run import build_model, trial_faults
from .evaluation import collected
from .hooks import BestCheckpointHook, LastCheckpointHook, StepHook, StopTraining
from .loaders import build_loader
from .plots import LOG, draw_curves

SHOWN_FAULTS = 30
WRITTEN = ("last.pth", "best.pth", "epoch_*.pth", "log.jsonl", "history.json", "metrics.json", "curves.png",
           "bad_batch*.json")   # whole or not at all, by a temporary file beside
KEPT = dict(last=True, every=0)
AUTO = "auto"   # resume from the work dir's last.pth, where there is one


def launch(config: str, *, checkpoint: str | None = None, resume: str | None = None, evaluate: bool = False,
           dump: str | None = None, label: str | None = None, seed: int | None = None, work_dir: str | None = None,
           launcher: str | None = None, check: bool = False) -> dict:
    """Trains a config and evaluates its best checkpoint, or evaluates a checkpoint.

    The work dir gets `best.pth`, `last.pth`, `metrics.json`, `history.json` (metrics of every
    validated epoch), `curves.png`, TensorBoard events and the log.

    Args:
        config: a Python config.
        checkpoint: weights to begin with, or to evaluate.
        resume: `last.pth` of an interrupted training of the same config, or AUTO.
        evaluate: evaluate `checkpoint`, train nothing.
        dump: where the predictions go, as JSON lines.
        label: with `evaluate`, labels to evaluate on, e.g. of the test split, instead of the config's.
        seed: instead of the config's.
        work_dir: `work_dirs/<config's name>` when left out.
        launcher: `torch` or `slurm`; None finds out.
        check: check config, labels and features, do nothing else.

    Returns:
        The metrics of the test split, or of val where there is no test split; they are also in
        `metrics.json`. Empty in other than the main process.

    Raises:
        InputError: a fault in the config, the data, a checkpoint or the work dir.
    """
    retain_freed_memory()
    cfg = load_config(config)
    datasets.register()
    if label and not evaluate:
        raise InputError("--label needs --eval: it names other labels to evaluate on")
    if evaluate and not checkpoint:
        raise InputError("--eval needs --checkpoint: name the .pth file to evaluate")
    if resume and checkpoint:
        raise InputError("--resume and --checkpoint exclude each other: a resumed run has weights of its own")
    faults = config_faults(cfg, ("model", "data") if evaluate else ("model", "data", "stages"))
    if evaluate and isinstance(cfg.get("data"), dict) and not any(f.startswith("data: ") for f in faults):
        split = evaluated_split(cfg)
        cfg.data = {split: cfg.data[split]}   # training data need not be at hand
        if label:
            cfg.data[split].label_path = label
    if dump:
        make_folder(Path(dump).resolve().parent)
    comm.init_dist(launcher=launcher)
    try:
        return _launch(cfg, config, faults, checkpoint=checkpoint, resume=resume, evaluate=evaluate, dump=dump,
                       seed=seed, work_dir=work_dir, check=check)
    finally:
        if comm.is_distributed():
            torch.distributed.destroy_process_group()


def _launch(cfg: dict, config: str, faults: list[str], *, checkpoint: str | None, resume: str | None, evaluate: bool,
            dump: str | None, seed: int | None, work_dir: str | None, check: bool) -> dict:
    """As `launch`, in a process that has found the others; `faults` are those of the config."""
    asked_seed = seed if seed is not None else cfg.get("seed")
    seed = set_random_seed(asked_seed if is_whole(asked_seed, 0) else None, deterministic=True)
    loaders, model = _build_all(cfg, config, faults, seed, None if evaluate else cfg.get("best_keys", []))
    work = Path(work_dir or Path("work_dirs") / Path(config).stem)
    if checkpoint:
        load_checkpoint(model, checkpoint)
    identity = identity_of(cfg, asked_seed)
    last = _last(resume, work) if resume else None
    checked = read_resumable(last, model, identity) if last else None
    if check:
        sizes = ", ".join(f"{split} ({len(loader.dataset)})" for split, loader in loaders.items())
        print(f"{config}: no fault in {sizes}")
        return {}
    make_folder(work)
    engine = _build_engine(cfg, model, loaders, work, seed)
    engine.identity = identity
    if not evaluate:
        _remove_leftovers(work)
    if resume:
        _resume(engine, last, checked, work)
    if not evaluate:
        _train(engine, config, work)
    return _evaluate(engine, cfg, work, dump)


def _build_all(cfg: dict, config: str, known: list[str], seed: int,
               best_keys: list[str] | None) -> tuple[dict[str, DataLoader], nn.Module]:
    """A loader per split and the model, after all that can be checked was.

    Args:
        known: faults of the config: what they lie in is not built.
        best_keys: see `trial_faults`.

    Raises:
        InputError: lists the faults of config, labels, features and model.
    """
    loaders, faults, model = {}, [], None
    for split, c in cfg.data.items() if isinstance(cfg.get("data"), dict) else ():
        if any(fault.startswith(f"data.{split}:") or fault.startswith(f"data.{split}.") for fault in known):
            continue
        try:
            loaders[split] = build_loader(c, seed)
            faults += [f"data.{split}: {fault}" for fault in _faults(split, loaders[split].dataset)]
        except InputError as err:   # the other splits may have faults, too
            sound = getattr(err, "dataset", None)   # what is sound among faulty labels
            faults += [f"data.{split}: {fault}" for fault in (err, *(_faults(split, sound) if sound else ()))]
    if not any(fault.startswith("model") or fault.startswith("no 'model'") for fault in known):
        try:
            model = build_model(cfg.model)
        except InputError as err:
            known = [*known, str(err)]
    if not known and not faults:
        faults = trial_faults(model, loaders, best_keys)
    if known or faults:
        _refuse(config, known, faults)
    return loaders, model


def _refuse(config: str, known: list[str], faults: list[str]) -> None:
    """One message of the config's faults and the data's."""
    more = [f"and {len(faults) - SHOWN_FAULTS} more"] if len(faults) > SHOWN_FAULTS else []
    data = [f"{len(faults)} fault{'s' * (len(faults) > 1)} in the data:", *faults[:SHOWN_FAULTS], *more]
    data = data if faults else []
    raise InputError((f"{config}: " if known else "") + "\n  ".join([*known, *data]))


def _faults(split: str, dataset: Dataset) -> list[str]:
    """Of a split's labels and features; datasets that read all when built have named theirs."""
    if not hasattr(dataset, "check"):
        return []
    hidden = None if comm.is_main_process() else True   # None: hidden where nobody looks on
    return dataset.check(partial(tqdm, desc=f"checking {split}", disable=hidden, leave=False))


def _amp(value: str | None, logger: logging.Logger) -> str | None:
    """A config's `amp`, with `auto` as what this machine computes fast."""
    in_hardware = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else cpu_has_bfloat16()
    if value == "auto":
        return "bf16" if in_hardware else None
    if value in ("bf16", "bfloat16") and not in_hardware:
        logger.warning(f"amp={value!r}: this processor imitates bfloat16, many times slower than float32; "
                       "amp='auto' takes what is fast")
    return value


def _build_engine(cfg: dict, model: nn.Module, loaders: dict[str, DataLoader], work: Path, seed: int) -> Engine:
    logger = _logger(work / "train.log")
    logger.info(f"Config: {cfg.text}")
    logger.info(f"Random seed: {seed}")
    model = _wrap(model)
    if comm.get_rank():
        torch.manual_seed(seed + comm.get_rank())   # other dropout in every process
    loaders = {"train": next(iter(loaders.values())), **loaders}   # the Engine wants one, also to evaluate
    engine = Engine(model, loaders, stages=cfg.get("stages"), work_dir=str(work), seed=seed,
                    amp=_amp(cfg.get("amp"), logger), logger=logger)
    engine.history, engine.best_keys = [], list(cfg.get("best_keys", []))
    engine.keep = {**KEPT, **(cfg.get("keep") or {})}
    engine.hooks.pop("SamplerSeedHook", None)   # LastCheckpointHook tells every sampler the epoch
    engine.register_hook(StepHook())
    engine.register_hook(LastCheckpointHook())
    engine.register_hook(BestCheckpointHook(engine.best_keys, **(cfg.get("early_stop") or {})))
    engine.register_hook(dict(type="EventWriterHook", writers=[
        "CommandLineWriter", dict(type="JSONWriter", filename=LOG), "TensorboardWriter"]))
    engine.register_hook("TimerHook", before="EventWriterHook")   # after the step, which belongs to an iteration
    if cfg.get("hooks"):
        engine.register_hook(cfg.hooks)
    return engine


def _train(engine: Engine, config: str, work: Path) -> None:
    """Trains to the end and leaves the best epoch's weights in the model."""
    if engine.start_iter == 0 and comm.is_main_process():
        (work / LOG).unlink(missing_ok=True)   # nncore appends
    if engine.hooks["EvalHook"].stops(engine.history):
        engine.logger.info("The training that is resumed had stopped early, so nothing is left to train")
    else:
        try:
            engine.launch()
        except StopTraining as stop:
            engine.logger.info(str(stop))
    if not engine.history:
        raise InputError(f"{config}: no epoch was validated, so none is the best; set validation=dict(interval=1)")
    key = watched(engine.history[-1], engine.best_keys)
    top = best(engine.history, key)
    if comm.is_main_process():
        write_json(work / "history.json", dict(best_epoch=top["epoch"], watched=key, epochs=engine.history))
        if (work / LOG).is_file():   # not where a finished training was resumed into another work dir
            draw_curves(work / LOG, work / "curves.png", top["epoch"], key)
    engine.logger.info(f"Best epoch: {top['epoch']} of {engine.history[-1]['epoch']}, {key} {top[key]:.2f}; "
                       f"the last has {engine.history[-1][key]:.2f}")
    comm.sync()
    load_checkpoint(engine.model, work / "best.pth")


def _evaluate(engine: Engine, cfg: dict, work: Path, dump: str | None) -> dict:
    split = evaluated_split(cfg)
    engine.logger.info(f"Evaluating on {split}, {len(engine.data_loaders[split].dataset)} queries")
    engine.reset_states()   # a finished engine stands behind its last stage
    engine.test_epoch(split)
    blob = collected(engine)
    if blob is None:
        return {}
    dataset = engine.data_loaders[split].dataset
    metrics = dataset.evaluate(blob, logger=engine.logger)
    if dump:
        _dump(dataset.predictions(blob), dump)
    columns = beside(engine, cfg, split) if cfg.get("floors") else {}
    engine.logger.info("\n" + format_table({"model": metrics, **columns}, split))
    metrics = {**metrics, **{f"{k}-{name}": v for name, column in columns.items() for k, v in column.items()}}
    write_json(work / "metrics.json", dict(split=split, **metrics))
    return metrics


def evaluated_split(cfg: dict) -> str:
    """`test` where the config has one, else `val`."""
    return "test" if "test" in cfg.data else "val"


def _dump(predictions: list[dict], path: str) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as f:
        f.writelines(json.dumps(p, ensure_ascii=False) + "\n" for p in predictions)


def _last(resume: str, work: Path) -> Path | None:
    """The checkpoint to go on from; AUTO takes the work dir's, and None where there is none yet."""
    last = work / "last.pth" if resume == AUTO else Path(resume)
    return None if resume == AUTO and not last.is_file() else last


def _resume(engine: Engine, last: Path | None, checkpoint: dict | None, work: Path) -> None:
    """Goes on from a last.pth that was checked, or begins anew."""
    if last is None:
        engine.logger.info(f"{work / 'last.pth'}: not there yet, so training begins anew")
        return
    resume_from(engine, last, checkpoint)
    best_so_far = last.resolve().parent / "best.pth"
    if engine.history and best_so_far.parent != work.resolve():
        if not best_so_far.is_file():
            raise InputError(f"{best_so_far}: missing; a run resumed in another work dir needs the best weights so far")
        with atomic_path(work / "best.pth") as temporary:
            shutil.copyfile(best_so_far, temporary)
    _trim_log(work / LOG, engine.epoch)


def _remove_leftovers(work: Path) -> None:
    """Takes away halves of files that a killed run was writing."""
    if comm.is_main_process():
        for name in WRITTEN:
            stem, suffix = Path(name).stem, Path(name).suffix
            for path in work.glob(f".{stem}.*{suffix}"):
                path.unlink(missing_ok=True)


def _trim_log(path: Path, epoch: int) -> None:
    """Takes out of the log what a killed run wrote of epochs that will be done again."""
    if path.is_file():
        lines = [line for line in path.read_text().splitlines() if _epoch_of(line) <= epoch]
        with atomic_path(path) as temporary:
            temporary.write_text("".join(line + "\n" for line in lines))


def _epoch_of(line: str) -> float:
    try:
        return json.loads(line)["epoch"]
    except (ValueError, KeyError):   # half a line, written when the process was killed
        return float("inf")


def _logger(path: Path) -> logging.Logger:
    """Logs to the screen and to a file; other than the main process only errors, to the screen."""
    logger = logging.getLogger(f"launch:{path.resolve()}")
    logger.propagate = False
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    main = comm.is_main_process()
    logger.setLevel(logging.INFO if main else logging.ERROR)
    handlers = [logging.StreamHandler(sys.stdout)] + ([logging.FileHandler(path, mode="a")] if main else [])
    for handler in handlers:
        handler.setFormatter(logging.Formatter("[%(asctime)s %(levelname)s] %(message)s", "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
    return logger


def _wrap(model: nn.Module) -> nn.Module:
    """nncore's wrapper, which unpacks its containers and moves them to the device."""
    with _root_logger_left_alone():
        return NNDistributedDataParallel(model) if comm.is_distributed() else NNDataParallel(model)


@contextmanager
def _root_logger_left_alone() -> Iterator[None]:
    """nncore's wrappers hang a handler on the root logger to warn that there is no GPU."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        root.handlers[:] = handlers
        root.setLevel(level)
