"""The whole way from a folder of photos to a proven bundle with a report."""

import os
import platform
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from andon.core.machine import available_cpus, cpu_name
from andon.core.manifest import DatasetStamp
from andon.core.progress import Progress, Silent
from andon.core.records import SPLITS, Dataset, ImageRecord, Problem, SplitName
from andon.core.settings import to_plain
from andon.core.wording import counted, listed
from andon.datasets import (
    SplitTable,
    content_hashes,
    dataset_stamp,
    open_dataset,
    split_dataset,
    split_records,
    usable_images,
)
from andon.errors import BadConfig, BadData, MissingExtra, UserError, did_you_mean
from andon.evaluate import Evaluation, ParityResult, ReportContext, evaluate_images, write_report
from andon.runtime.predictor import Predictor
from andon.tasks.classification import label_matrix, probabilities
from andon.train.config import TrainConfig, check
from andon.train.run_folder import REFUSED, Journal, Logged, RunFolder

if TYPE_CHECKING:
    from andon.train.resolve import Prepared

_LIBRARIES = ("lightning_fabric", "onnx", "safetensors", "sklearn", "tensorboard", "timm", "torch", "torchvision")
_RESERVE_SHARE, _RESERVE_MOST_S = 0.15, 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """What to train.

    Attributes:
        data: a dataset of any format.
        out: the run's folder.
        config: as the recipe, flags and `--set` left it; a resumed run keeps the config it was begun with.
        resume: continue the run in `out`.
        command: how this was asked for, to be written down.
    """

    data: Path
    out: Path
    config: TrainConfig
    resume: bool = False
    command: str = ""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainResult:
    """What came of it.

    Attributes:
        run: the run's folder.
        bundle: the packaged model.
        report: the page.
        evaluation: of the bundle on test, or on val where there is no test image.
        seconds: from the beginning to the end.
        stopped: why training ended early, or empty.
    """

    run: Path
    bundle: Path
    report: Path
    evaluation: Evaluation
    parity: ParityResult
    problems: tuple[Problem, ...]
    seconds: float
    stopped: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run under way: what was asked for, where it goes, who listens, when it began (`time.monotonic`)."""

    request: TrainRequest
    folder: RunFolder
    progress: Progress
    began: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """The data of a run: usable, split and frozen."""

    dataset: Dataset
    hashes: dict[str, str]
    table: SplitTable
    splits: dict[SplitName, tuple[ImageRecord, ...]]
    problems: tuple[Problem, ...]

    @property
    def stamp(self) -> DatasetStamp:
        """Which data this is, by content."""
        return dataset_stamp(self.dataset, self.hashes, self.table, self.splits)

    def targets(self, split: SplitName) -> NDArray[np.float32]:
        """Zeros and ones [N, C] of a split's images."""
        return label_matrix(self.splits[split], self.dataset.classes)


def train(request: TrainRequest, progress: Progress | None = None) -> TrainResult:
    """Trains, evaluates, proves and packages.

    Raises:
        UserError: the data, the settings or the weights are wrong, or the folder cannot be written.
        GateFailed: the packaged model would not answer like the trained one, or training diverged.
        MissingExtra: torch or another library of the extra "train" is not installed; nothing was written.
    """
    if any(find_spec(name) is None for name in _LIBRARIES):
        raise MissingExtra("training", "train")
    # Set before torch is imported: idle threads sleep instead of spinning. Spinning made training three times slower
    # as soon as anything else ran on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    folder = RunFolder(request.out)
    config = folder.config() if request.resume else request.config
    check(config)
    if not request.resume:
        folder.begin(config, request.command)
    listener = Logged(progress or Silent(), folder.log_file)
    run = Run(request=request, folder=folder, progress=listener, began=time.monotonic())
    try:
        material, prepared = _make_ready(run, config)
    except UserError:
        if not request.resume:
            folder.write({"status": REFUSED})
        raise
    stopped = _fit(run, prepared, material)
    return _package(run, prepared, material, stopped)


def _make_ready(run: Run, config: TrainConfig) -> "tuple[Material, Prepared]":
    """Everything that can turn out wrong with data, settings and weights, before anything is computed."""
    material = _gather(run, config)
    _check_classes(config, material)
    from andon.train.resolve import prepare

    prepared = prepare(config, material.splits["train"], len(material.dataset.classes))
    run.folder.write(
        {
            "config": to_plain(prepared.config),
            "weights": to_plain(prepared.start.stamp),
            "dataset": to_plain(material.stamp),
        }
    )
    _say_plan(prepared, material, run.progress)
    return material, prepared


def _gather(run: Run, config: TrainConfig) -> Material:
    """Opens the data, sets aside what cannot be used, and freezes or takes up the split."""
    request, folder, progress = run.request, run.folder, run.progress
    dataset = open_dataset(request.data, task=config.task)
    hashes = content_hashes(dataset, progress)
    usable, set_aside = usable_images(dataset, hashes, config.data.conflicts, progress)
    if request.resume and folder.split_file.exists():
        table = SplitTable.load(folder.split_file)
    else:
        table = split_dataset(usable, hashes, seed=config.data.split_seed)
        table.save(folder.split_file)
    problems = (*dataset.problems, *set_aside, *table.problems)
    for problem in problems:
        progress.say(f"note: {problem.message}")
    splits = split_records(usable, hashes, table)
    material = Material(dataset=usable, hashes=hashes, table=table, splits=splits, problems=problems)
    if request.resume:
        _refuse_other_data(run, material)
    return material


def _refuse_other_data(run: Run, material: Material) -> None:
    """A run goes on only with the data it was begun with."""
    begun_with = run.folder.facts().get("dataset")
    if not isinstance(begun_with, dict) or begun_with.get("hash") == material.stamp.hash:
        return
    known = material.table.assignment
    new = [image.key for image in material.dataset.images if material.hashes[image.key] not in known]
    gone = len(known.keys() - {material.hashes[image.key] for image in material.dataset.images})
    raise BadData(
        f"{run.request.data} has changed since the run was begun: {counted(len(new), 'image is', 'images are')} new"
        f"{' (' + listed(new, first=3) + ')' if new else ''}, {gone} gone, the rest may have other classes. "
        "Begin a new run, or put the data back"
    )


def _check_classes(config: TrainConfig, material: Material) -> None:
    classes = material.dataset.classes
    trained = {label for record in material.splits["train"] for label in record.labels}
    if not material.dataset.multi_label and len(trained) < 2:
        raise BadData(
            f"all train images are of the class {listed(sorted(trained))}; to tell {listed(classes)} apart, "
            "train images of at least two classes are needed"
        )
    if unknown := [name for name in config.data.good_classes if name not in classes]:
        raise BadConfig(
            [f"data.good_classes: there is no class {name!r}. {did_you_mean(name, classes)}" for name in unknown]
        )


def _say_plan(prepared: "Prepared", material: Material, progress: Progress) -> None:
    config, (width, height) = prepared.config, prepared.spec.size_wh
    counts = ", ".join(f"{len(material.splits[name])} {name}" for name in SPLITS)
    progress.say(
        f"{len(material.dataset.classes)} classes, {counts}; {config.model.arch} from {prepared.start.stamp.source} "
        f"at {width}×{height}, preset {config.preset}"
    )


def _fit(run: Run, prepared: "Prepared", material: Material) -> str:
    """Trains the model in place; says why it ended early, if it did."""
    config = prepared.config
    resuming = run.request.resume and (run.folder.checkpoints / "last.ckpt").is_file()
    if (config.method == "fit_head" or config.model.head_start) and not resuming:
        from andon.train.head_fit import fit_head_in_place

        fit_head_in_place(
            prepared,
            material.splits,
            {split: material.targets(split) for split in ("train", "val")},
            material.hashes,
            run.progress,
            multi_label=material.dataset.multi_label,
        )
    return "" if config.method == "fit_head" else _fine_tune(run, prepared, material)


def _fine_tune(run: Run, prepared: "Prepared", material: Material) -> str:
    from andon.models.stages import freeze
    from andon.train.batches import PixelStore
    from andon.train.loop import Loop, Task

    config, folder, progress = prepared.config, run.folder, run.progress
    freeze(prepared.model, config.model.layers)
    train_store = PixelStore(material.splits["train"], prepared.spec)
    val_store = PixelStore(material.splits["val"], prepared.spec)
    batch_size = min(config.batch_size, len(train_store))
    task = Task(
        train=train_store,
        val=val_store,
        targets_nc=material.targets("train"),
        multi_label=material.dataset.multi_label,
        score=_scorer(material),
        steps=(config.budget.epochs or 1) * -(-len(train_store) // batch_size),
        deadline_s=_time_for_training(config, run.began),
    )
    rows: list[dict[str, float]] = []
    loop = Loop(
        model=prepared.model,
        config=config,
        task=task,
        checkpoints=folder.checkpoints,
        progress=progress,
        on_epoch=rows.append,
    )
    if run.request.resume and loop.resume():
        progress.say(f"continuing at step {loop.state.step} of {task.steps}")
    journal = Journal(folder, from_step=loop.state.step)
    loop.on_epoch = _announcer(journal, config.budget.epochs or 1, progress)
    try:
        state = loop.run()
    finally:
        journal.close()
        train_store.close()
        val_store.close()
    if state.stopped:
        progress.say(f"training ended early: {state.stopped}")
    return state.stopped


def _announcer(journal: Journal, epochs: int, progress: Progress) -> Callable[[dict[str, float]], None]:
    def announce(row: dict[str, float]) -> None:
        journal.add(row)
        val = f", val accuracy {row['val_accuracy']:.3f}" if "val_accuracy" in row else ""
        progress.say(f"epoch {row['epoch']:.0f} of {epochs}: train loss {row['train_loss']:.3f}{val}")

    return announce


def _scorer(material: Material) -> Callable[[NDArray[np.float32]], dict[str, float]]:
    targets_nc = material.targets("val")
    multi_label = material.dataset.multi_label

    def score(logits_nc: NDArray[np.float32]) -> dict[str, float]:
        found_nc = np.clip(probabilities(logits_nc, multi_label=multi_label).astype(np.float64), 1e-7, 1 - 1e-7)
        if multi_label:
            loss = -(targets_nc * np.log(found_nc) + (1 - targets_nc) * np.log1p(-found_nc)).mean()
            accuracy = ((found_nc >= 0.5) == (targets_nc > 0.5)).all(axis=1).mean()
        else:
            loss = -np.log((found_nc * targets_nc).sum(axis=1)).mean()
            accuracy = (found_nc.argmax(axis=1) == targets_nc.argmax(axis=1)).mean()
        return {"loss": float(loss), "accuracy": float(accuracy)}

    return score


def _time_for_training(config: TrainConfig, began: float) -> float | None:
    """What the time limit leaves for the loop: what was used so far and what packaging needs is taken off."""
    limit_s = config.budget.time_limit_s
    if limit_s is None:
        return None
    reserve_s = min(_RESERVE_MOST_S, _RESERVE_SHARE * limit_s)
    return max(1.0, limit_s - (time.monotonic() - began) - reserve_s)


def _package(run: Run, prepared: "Prepared", material: Material, stopped: str) -> TrainResult:
    """Proves, evaluates, writes the bundle and the report."""
    from andon.train.package import Trained, bundle_probabilities, prove, write

    folder, progress, splits = run.folder, run.progress, material.splits
    trained = Trained(
        model=prepared.model,
        config=prepared.config,
        classes=material.dataset.classes,
        multi_label=material.dataset.multi_label,
        spec=prepared.spec,
        start=prepared.start,
        stamp=material.stamp,
    )
    proven = prove(trained, splits["val"] or splits["train"][:200], progress)
    progress.say(proven.parity.sentence())
    split = next(name for name in reversed(SPLITS) if splits[name])
    found_nc = bundle_probabilities(trained, proven, splits[split], progress, f"Evaluating on {split}")
    evaluation = evaluate_images(splits[split], found_nc, trained, split=split)
    metrics = {"split": split, "images": len(splits[split]), "metrics": evaluation.metrics.to_plain()}
    manifest = write(trained, proven, metrics, folder)
    Predictor.open(folder.bundle).close()  # the self-check, and the engine for this machine measured and remembered
    seconds = time.monotonic() - run.began
    parity = ParityResult(
        max_difference=proven.parity.max_difference, images=proven.parity.images, tolerance=proven.parity.tolerance
    )
    context = ReportContext(
        title=manifest.name,
        model_name=manifest.name,
        model_version=manifest.version,
        arch=manifest.arch,
        dataset=trained.stamp,
        class_counts=_class_counts(material),
        problems=material.problems,
        preset=prepared.config.preset,
        seconds=seconds,
        settings=to_plain(prepared.config),
        weights=prepared.start.stamp,
        parity=parity,
        curves=folder.rows(),
        machine=f"{cpu_name()}, {available_cpus()} CPUs, Python {platform.python_version()}",
        command=run.request.command,
        created=manifest.created,
    )
    page = write_report(folder.report, evaluation, context)
    folder.write(
        {
            "status": "done",
            "seconds": round(seconds, 2),
            "stopped": stopped,
            "problems": [to_plain(problem) for problem in material.problems],
            "parity": to_plain(parity),
            "engines": {"passed": list(proven.engines), "refused": dict(proven.refused)},
            split: evaluation.metrics.to_plain(),
        }
    )
    return TrainResult(
        run=folder.path,
        bundle=folder.bundle,
        report=page,
        evaluation=evaluation,
        parity=parity,
        problems=material.problems,
        seconds=seconds,
        stopped=stopped,
    )


def _class_counts(material: Material) -> dict[str, dict[str, int]]:
    """Images of each class in each split."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in material.dataset.classes}
    for split, records in material.splits.items():
        for record in records:
            for label in record.labels:
                counts[label][split] += 1
    return {name: {split: found[split] for split in SPLITS} for name, found in counts.items()}
