"""Train and evaluate a config with nncore's Engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn as nn
from nncore import Config
from nncore.engine import comm, set_random_seed
from nncore.parallel import NNDataParallel, NNDistributedDataParallel
from torch.utils.data import DataLoader

import datasets
import models  # noqa: F401  Registers the models.
from common.config import load_config
from common.errors import ConfigError, InputError
from common.files import make_folder, write_json
from common.memory import retain_freed_memory
from models.checkpoint import load_checkpoint
from models.device import cpu_has_bfloat16

from .baselines import compute_baselines, format_table
from .checkpoints import (
    check_config_unchanged,
    read_resumable_checkpoint,
    resume_config,
    resume_training,
)
from .config import DEPRECATED_KEYS, EVALUATION_KEYS, TRAINING_KEYS, config_errors, uses_baselines
from .config_schema import is_int
from .engine import TrainingEngine
from .evaluation import gather_outputs
from .hooks import BestCheckpointHook, LastCheckpointHook, StepHook, StopTraining
from .hooks.best_checkpoint_hook import best_entry, monitored_metric
from .plots import draw_curves
from .preflight import build_checked
from .run_dir import AUTO, RunDir, is_same_file, write_predictions
from .work_dir import claimed_work_dir, newer_work_dir, unclaimed_work_dir


@dataclass(frozen=True)
class LaunchOptions:
    """The options of a run, see `launch`."""

    checkpoint: str | None = None
    resume: str | None = None
    evaluate: bool = False
    dump: str | None = None
    label: str | None = None
    seed: int | None = None
    work_dir: str | None = None
    check: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.label and not self.evaluate:
            raise InputError(None, "--label needs --eval, because it replaces the labels of an evaluation",
                             "add --eval --checkpoint FILE, or leave out --label")
        if self.evaluate and not self.checkpoint:
            raise InputError(None, "--eval needs --checkpoint", "specify the .pth file to evaluate")
        if self.resume and self.checkpoint and (self.resume != AUTO or self.evaluate):
            raise InputError(None, "--resume and --checkpoint are mutually exclusive, because both load weights",
                             "leave one of them out")
        if self.overwrite and (self.resume or self.evaluate):
            raise InputError(None, f"--overwrite and {'--resume' if self.resume else '--eval'} are mutually exclusive, "
                             "because --overwrite starts a new training", "leave one of them out")

    def claim(self, config: str) -> AbstractContextManager[RunDir]:
        """Return a context manager that yields the work dir of the run, see `work_dir.claimed_work_dir`.

        A resumed training continues in its folder. A new training never replaces the results of an earlier run, and an
        evaluation never replaces those of a training, unless it evaluates a checkpoint of this training.
        """
        requested = RunDir.of_config(config, self.work_dir, self.resume)
        if self.evaluate:
            assert self.checkpoint is not None
            if Path(self.checkpoint).resolve().parent == requested.path.resolve():
                return unclaimed_work_dir(requested.path)   # Evaluating during the training is allowed.
            return claimed_work_dir(requested.path, numbered=True, has_results=RunDir.has_training)
        resumes_in_place = self.resume == AUTO or (
            self.resume is not None and is_same_file(requested.newest_checkpoint(), Path(self.resume)))
        return claimed_work_dir(requested.path, numbered=not resumes_in_place and not self.overwrite,
                                has_results=RunDir.has_results)


def launch(config: str, *, checkpoint: str | None = None, resume: str | None = None, evaluate: bool = False,
           dump: str | None = None, label: str | None = None, seed: int | None = None, work_dir: str | None = None,
           launcher: str | None = None, check: bool = False, overwrite: bool = False,
           on_work_dir: Callable[[Path], object] = lambda path: None) -> dict:
    """Train a config and evaluate its best checkpoint, or evaluate a given checkpoint.

    The outputs in the work dir are `best.pth`, `last.pth`, `metrics.json`, `history.json` (metrics of every validated
    epoch), `curves.png`, TensorBoard events and a log.

    Args:
        config: path of a Python config.
        checkpoint: weights to start the training from, or to evaluate.
        resume: `last.pth` of an interrupted training with the same config; `run_dir.AUTO` for the newest checkpoint of
            the work dir, or a new training (from `checkpoint`, if given) if there is none.
        evaluate: True to evaluate `checkpoint` without training.
        dump: JSON Lines file to write the predictions to.
        label: label file that replaces that of the evaluated split, e.g. with test labels; only with `evaluate`.
        seed: random seed; None for that of the config.
        work_dir: output folder; None for that of the `last.pth` in `resume`, or `work_dirs/<name of the config>`. If
            it contains the results of an earlier run, a new run uses `NAME_1`, `NAME_2`, ... instead.
        launcher: `torch` or `slurm`; None to detect it.
        check: True to only check the config, the labels and the features.
        overwrite: True to replace the results of an earlier run in the work dir.
        on_work_dir: called in the main process with the folder that is used, before anything is written to it.

    Returns:
        The metrics of the test split, or of the val split if there is no test split, as in `metrics.json`. Processes
        other than the main process return an empty dict.

    Raises:
        InputError: the config, the data, a checkpoint or the work dir is invalid; another run is using the work dir;
            or the disk is full.
    """
    retain_freed_memory()
    cfg = load_config(config)
    datasets.register()
    options = LaunchOptions(checkpoint, resume, evaluate, dump, label, seed, work_dir, check, overwrite)
    errors = config_errors(cfg, EVALUATION_KEYS if evaluate else TRAINING_KEYS)
    if evaluate and isinstance(cfg.get("data"), dict) and not any(error.location == "data" for error in errors):
        split = evaluated_split(cfg)
        cfg.data = {split: cfg.data[split]}   # An evaluation does not require the training data.
        if label:
            cfg.data[split].label_path = label
    if dump:
        make_folder(Path(dump).resolve().parent)
    comm.init_dist(launcher=launcher)
    try:
        return _launch(cfg, config, errors, options, on_work_dir)
    finally:
        if comm.is_distributed():
            torch.distributed.destroy_process_group()


def _launch(cfg: Config, config: str, errors: Sequence[ConfigError], options: LaunchOptions,
            on_work_dir: Callable[[Path], object]) -> dict:
    """Train or evaluate after the process group is initialized; `errors` are the errors of the config."""
    requested_seed = options.seed if options.seed is not None else cfg.get("seed")
    seed = set_random_seed(requested_seed if is_int(requested_seed, 0) else None, deterministic=True)
    best_keys = None if options.evaluate else cfg.get("best_keys", [])
    loaders, model = build_checked(cfg, config, errors, seed, best_keys)
    shared_config = resume_config(cfg, requested_seed)
    if options.check:
        run_dir = RunDir.of_config(config, options.work_dir, options.resume)
        _load_weights(model, cfg, run_dir, options, shared_config, world_size=None)
        sizes = ", ".join(f"{split} ({len(loader.dataset)})" for split, loader in loaders.items())
        print(f"{config}: no errors in {sizes}")
        return {}
    with options.claim(config) as run_dir:
        resumed = _load_weights(model, cfg, run_dir, options, shared_config, comm.get_world_size())
        if comm.is_main_process():
            on_work_dir(run_dir.path)
        with run_dir.reporting_full_disk():
            if options.overwrite and comm.is_main_process():
                run_dir.remove_results()
            engine = build_engine(cfg, model, loaders, run_dir, seed, shared_config)
            _log_work_dir(engine.logger, run_dir, options, resumed is None)
            if not options.evaluate:
                _resume(engine, run_dir, resumed)
                _train(engine, config, run_dir)
            return _evaluate(engine, cfg, run_dir, options.dump)


def _load_weights(model: nn.Module, cfg: Config, run_dir: RunDir, options: LaunchOptions, shared_config: dict,
                  world_size: int | None) -> tuple[Path, dict] | None:
    """Load the weights to resume from, to start from or to evaluate, if any, into the model.

    Returns:
        The file and the content of the checkpoint to resume from, or None.

    Raises:
        InputError: a checkpoint is invalid, or belongs to another training.
    """
    last = run_dir.checkpoint_to_resume(options.resume)
    if last is not None:
        stages = cfg.stages if isinstance(cfg.stages, list) else [cfg.stages]
        checkpoint = read_resumable_checkpoint(last, model, shared_config, sum(stage["epochs"] for stage in stages),
                                               world_size)
        return last, checkpoint
    if options.checkpoint:
        load_checkpoint(model, options.checkpoint)
    elif options.resume and run_dir.best.is_file():   # The training was killed before its first last.pth.
        check_config_unchanged(run_dir.best, shared_config)
    return None


def _log_work_dir(logger: logging.Logger, run_dir: RunDir, options: LaunchOptions, is_new: bool) -> None:
    if options.resume and is_new:
        logger.info(f"{run_dir.last} does not exist yet; starting a new training")
    if run_dir.path != run_dir.requested:
        logger.info(f"{run_dir.requested} contains the results of another run or is in use, so this run writes to "
                    f"{run_dir.path}; to continue or to replace a run, use --resume or --overwrite")
    newer = newer_work_dir(run_dir) if options.resume == AUTO else None
    if newer is not None:
        logger.warning(f"{newer} contains a newer training, which continues with --resume --work-dir {newer}")


def _resume(engine: TrainingEngine, run_dir: RunDir, resumed: tuple[Path, dict] | None) -> None:
    """Prepare the work dir of a training, and restore the state of a resumed one."""
    run_dir.remove_leftovers()
    if comm.is_main_process() and (resumed is None or resumed[0].parent.resolve() != run_dir.path.resolve()):
        run_dir.mark_new_training()
    if resumed is None:
        return
    last, checkpoint = resumed
    resume_training(engine, last, checkpoint)
    if comm.is_main_process():
        if engine.history:
            run_dir.copy_best_from(last.parent)
        run_dir.trim_log(engine.epoch)


def select_amp(value: str | None, logger: logging.Logger) -> str | None:
    """Return the precision of mixed-precision training; `auto` selects bf16 if the hardware supports it natively.

    Args:
        value: value of `amp` in the config.
        logger: logger of a warning if the hardware emulates bfloat16.
    """
    has_bfloat16 = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else cpu_has_bfloat16()
    if value == "auto":
        return "bf16" if has_bfloat16 else None
    if value in ("bf16", "bfloat16") and not has_bfloat16:
        logger.warning(f"amp={value!r}: this processor emulates bfloat16, which is many times slower than float32; "
                       "use amp='auto' to select the faster precision")
    return value


def build_engine(cfg: Config, model: nn.Module, loaders: Mapping[str, DataLoader], run_dir: RunDir, seed: int,
                 shared_config: dict) -> TrainingEngine:
    """Build the engine with all its hooks.

    Args:
        cfg: the config.
        model: the model, on the CPU.
        loaders: one loader per split.
        run_dir: folder of all outputs.
        seed: random seed.
        shared_config: the result of `checkpoints.resume_config`.
    """
    logger = run_dir.make_logger()
    logger.info(f"Config: {cfg.text}")
    logger.info(f"Random seed: {seed}")
    for old, new in DEPRECATED_KEYS.items():
        if old in cfg:
            logger.warning(f"The config key {old!r} is deprecated and will be removed; use {new!r}")
    model = _wrap(model)
    if comm.get_rank():
        torch.manual_seed(seed + comm.get_rank())   # Dropout must differ between processes.
    keep = cfg.get("keep") or {}
    engine = TrainingEngine(
        model, {"train": next(iter(loaders.values())), **loaders},   # The Engine requires a train loader.
        stages=cfg.get("stages"), work_dir=str(run_dir.path), seed=seed, amp=select_amp(cfg.get("amp"), logger),
        logger=logger, best_keys=cfg.get("best_keys", []), keep_last=keep.get("last", True),
        keep_every=keep.get("every", 0), resume_config=shared_config)
    engine.hooks.pop("SamplerSeedHook", None)   # LastCheckpointHook sets the epoch of the samplers.
    engine.register_hook(StepHook())
    engine.register_hook(LastCheckpointHook())
    engine.register_hook(BestCheckpointHook(engine.best_keys, **(cfg.get("early_stop") or {})))
    engine.register_hook(dict(type="EventWriterHook", writers=[
        "CommandLineWriter", dict(type="JSONWriter", filename=run_dir.log.name), "TensorboardWriter"]))
    # The timer follows the optimizer's hook, so that an iteration's time includes the optimizer step.
    engine.register_hook("TimerHook", before="EventWriterHook")
    if cfg.get("hooks"):
        engine.register_hook(cfg.hooks)
    return engine


def _train(engine: TrainingEngine, config: str, run_dir: RunDir) -> None:
    """Run the training to its end, write its history, and load the weights of the best epoch."""
    if engine.start_iter == 0 and comm.is_main_process():
        run_dir.log.unlink(missing_ok=True)   # nncore appends to an existing log.
    if engine.hooks["EvalHook"].should_stop(engine.history):
        engine.logger.info("The resumed training had already stopped early; no epochs are left to train")
    else:
        try:
            engine.launch()
        except StopTraining as stop:
            engine.logger.info(str(stop))
    if not engine.history:
        raise InputError(config, "no epoch was validated, so no best epoch can be selected",
                         "set validation=dict(interval=1)")
    key = monitored_metric(engine.history[-1], engine.best_keys)
    best = best_entry(engine.history, key)
    if comm.is_main_process():
        # `watched` is the deprecated name of `monitor`.
        write_json(run_dir.history, dict(best_epoch=best["epoch"], monitor=key, watched=key, epochs=engine.history))
        if run_dir.log.is_file():   # It is missing if a finished training was resumed in another work dir.
            draw_curves(run_dir.log, run_dir.curves, best["epoch"], key)
    engine.logger.info(f"Best epoch: {best['epoch']} of {engine.history[-1]['epoch']}, {key} {best[key]:.2f}; "
                       f"last epoch: {engine.history[-1][key]:.2f}")
    comm.sync()
    load_checkpoint(engine.model, run_dir.best)


def _evaluate(engine: TrainingEngine, cfg: Config, run_dir: RunDir, dump: str | None) -> dict:
    """Evaluate the model and its baselines, and write the metrics."""
    split = evaluated_split(cfg)
    dataset = engine.data_loaders[split].dataset
    engine.logger.info(f"Evaluating on {split} ({len(dataset)} items)")
    engine.reset_states()   # A finished engine has no current stage, which the evaluation needs.
    engine.test_epoch(split)
    outputs = gather_outputs(engine)
    if outputs is None:
        return {}
    metrics = dataset.evaluate(outputs, logger=engine.logger)
    if dump:
        write_predictions(dataset.predictions(outputs), dump)
    columns = compute_baselines(engine, cfg, split) if uses_baselines(cfg) else {}
    engine.logger.info("\n" + format_table({"model": metrics, **columns}, split))
    metrics = {**metrics, **{f"{k}-{name}": v for name, column in columns.items() for k, v in column.items()}}
    write_json(run_dir.metrics, dict(split=split, **metrics))
    return metrics


def evaluated_split(cfg: Config) -> str:
    """Return `test` if the config has a test split, else `val`."""
    return "test" if "test" in cfg.data else "val"


def _wrap(model: nn.Module) -> nn.Module:
    """Wrap the model for nncore, which unpacks its containers and moves them to the device."""
    with _preserved_root_logger():
        return NNDistributedDataParallel(model) if comm.is_distributed() else NNDataParallel(model)


@contextmanager
def _preserved_root_logger() -> Iterator[None]:
    """Restore the root logger, because nncore's wrappers add a handler to it to warn of a missing GPU."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        root.handlers[:] = handlers
        root.setLevel(level)
