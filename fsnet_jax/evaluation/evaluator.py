"""One streaming pass over a data set: each image exactly once."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from common_lib.console import say
from fsnet_jax import learned_detectors as fitted
from fsnet_jax.builders.data_sources import RunData
from fsnet_jax.builders.evaluation import EvaluationOptions
from fsnet_jax.detectors import (
  FailureDetector,
  fitted_name,
  temperature_scaling,
  uses_flip,
)
from fsnet_jax.evaluation import failure_parts
from fsnet_jax.evaluation.dataset_sums import DatasetSums
from fsnet_jax.evaluation.image_tables import ImageTables
from fsnet_jax.learned_detectors.corrections import phase3
from fsnet_jax.metrics.image_table import ImageTable
from fsnet_jax.metrics.paired_differences import (
  difference_to_best_baseline,
  paired_differences,
)
from fsnet_jax.metrics.regions import region_codes, things_of
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation import outputs
from fsnet_jax.report import (
  Example,
)
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from fsnet_jax.steps.coarse_label_eval_step import make_grouped_eval_step
from fsnet_jax.steps.eval_step import DropoutSampling, make_eval_step
from fsnet_jax.steps.train_step import TrainState
from input_pipeline import class_groups
from input_pipeline.sources import Source

# What of a batch the evaluation step reads.
_INPUTS = ('image', 'label', 'mask', 'index')

# Sees each batch of this process and the maps of the step, still on device.
Observer = Callable[[Mapping[str, np.ndarray], Mapping[str, Any]], None]


@dataclasses.dataclass
class DatasetResult:
  """What one data set contributes to the report.

  Attributes:
    metrics: its entry in `metrics.json`.
    examples: the images that are shown.
    tables: by detector, every image as a histogram, for an observer's caller
      to resample; empty without an observer.
  """

  metrics: dict[str, Any]
  examples: list[Example]
  tables: dict[str, ImageTable] = dataclasses.field(default_factory=dict)


def _example_indices(length: int, count: int) -> set[int]:
  """`count` positions spread evenly over a data set."""
  positions = np.linspace(0, length - 1, num=min(count, length) + 2)[1:-1]
  return {int(round(position)) for position in positions}


def _examples(
  batch: dict[str, np.ndarray],
  maps: dict[str, Any],
  wanted: set[int],
  source: Source,
) -> list[Example]:
  """The wanted images among this process's rows of a batch."""
  rows = [
    row
    for row, index in enumerate(batch['index'])
    if batch['mask'][row] and int(index) in wanted
  ]
  if not rows:
    return []
  local = jax.tree.map(mesh_lib.local_rows, maps)
  examples = [
    Example(
      id=str(source[int(batch['index'][row])]['id']),
      image=batch['image'][row],
      label=batch['label'][row],
      prediction=local['prediction'][row],
      valid=local['valid'][row],
      failure={name: score[row] for name, score in local['score'].items()},
    )
    for row in rows
  ]
  if 'content' not in batch:
    return examples
  return [
    example.cropped(batch['content'][row])
    for example, row in zip(examples, rows)
  ]


class Evaluator:
  """Evaluates one train state on any number of data sets."""

  def __init__(
    self,
    options: EvaluationOptions,
    data: RunData,
    model: FSNet,
    mesh: Mesh,
    workdir: Path,
  ):
    self._options = options
    self._data = data
    self._mesh = mesh
    self._workdir = workdir
    self._detectors = failure_parts.usable_detectors(options)
    self._model = model
    self._temperature: float | None = None
    self._fitted = _load_fitted(
      options.fitted, self._detectors, options.has_members
    )
    self._parts = failure_parts.load(options.failure, workdir, self._detectors)
    self._fitted_variables = mesh_lib.put_replicated(
      {
        name: fit.variables
        for name, fit in (self._fitted | self._parts).items()
      },
      mesh,
    )
    self._steps: dict[class_groups.ClassGroups | None, Any] = {}

  def _step(self, groups: class_groups.ClassGroups | None):
    """The compiled step that tells these classes apart."""
    if groups not in self._steps:
      given = self._options
      options = {
        'keep_pixels': given.exact_pixels > 0,
        'dropout': DropoutSampling(given.dropout_samples, given.seed),
        'fitted': {name: fit.outputs for name, fit in self._fitted.items()},
        'failure': failure_parts.mean_of(given.failure, self._parts),
        'flip': self._needs_flip(),
        'uncertainty': failure_parts.sampling_of(self._parts, given.seed),
      }
      if groups is None:
        step = make_eval_step(
          self._model,
          self._detectors,
          num_classes=self._options.classes.num_classes,
          **options,
        )
      else:
        step = make_grouped_eval_step(
          self._model, self._detectors, groups.of_train_id, **options
        )
      counts = mesh_lib.replicated(self._mesh)
      maps = mesh_lib.batch_sharding(self._mesh)
      self._steps[groups] = jax.jit(step, out_shardings=(counts, maps))
    return self._steps[groups]

  def _needs_flip(self) -> bool:
    """Whether S is to see the mirrored images too."""
    loaded = (self._fitted | self._parts).values()
    return any(fit.uses_flip for fit in loaded) or any(
      uses_flip(one) for one in self._detectors.values()
    )

  def __call__(
    self,
    state: TrainState,
    source: Source,
    stop: StopRequest,
    observe: Observer | None = None,
    dataset: str = 'these images',
  ) -> DatasetResult:
    """One pass: each image exactly once on any number of devices.

    Args:
      state: of S and F.
      source: the images.
      stop: ends the pass.
      observe: what else looks at each batch and its maps.
      dataset: how a mistake calls the images.

    Raises:
      UserError: for a detector whose scores are no finite numbers.
      Interrupted: after Ctrl-C or SIGTERM.
    """
    source, groups = class_groups.for_evaluation(source)
    if groups is None and self._options.groups:
      groups = class_groups.ClassGroups.of_table(self._options.classes)
      source = class_groups.GroupLabels(source, groups)
    names = groups.names if groups else self._options.classes.names
    step = self._step(groups)
    sums = DatasetSums(self._detectors, names, self._options)
    images = ImageTables(len(source), len(self._detectors), self._mesh)
    wanted = _example_indices(len(source), self._options.num_examples)
    examples: list[Example] = []
    flip = self._needs_flip()
    for batch in self._data.evaluation_batches(source, flip):
      counts, maps = step(
        state.params,
        state.batch_stats,
        mesh_lib.put_batch(self._inputs(batch), self._mesh),
        self._temperature_of(state),
        self._fitted_variables,
      )
      sums.add(counts)
      images.add(batch, maps)
      examples += _examples(batch, maps, wanted, source)
      if observe is not None:
        observe(batch, maps)
      if stop.requested_anywhere():
        raise Interrupted(
          f'Interrupted by {stop.signal_name} while evaluating: run the same '
          'command again.'
        )
    metrics = sums.metrics(dataset, len(source))
    tables = _add_differences(metrics, images, self._baselines())
    return DatasetResult(metrics, examples, tables if observe else {})

  def _baselines(self) -> list[str]:
    """The detectors that are no part of FSNet."""
    return [
      name
      for name, one in self._detectors.items()
      if not one.uses_failure_network
    ]

  def _inputs(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What of a batch the step looks at."""
    inputs = {name: batch[name] for name in _INPUTS} | outputs.brought(batch)
    if self._options.details:
      things = things_of(self._options.classes)
      codes = [region_codes(one, things) for one in batch['label']]
      inputs['region'] = np.stack(codes)
    return inputs

  def check_fits(self, state: TrainState) -> None:
    """Says which fitted detectors are not over this state's S."""
    folders = {n: Path(self._options.fitted[n]) for n in self._fitted}
    folders |= {n: phase3.folder_of(self._workdir, n) for n in self._parts}
    for name, folder in folders.items():
      fitted.note_another_s(name, folder, state.params, state.batch_stats)

  def _temperature_of(self, state: TrainState) -> np.float32:
    """Fitted on the validation split when first needed; 1 if it never is."""
    if self._temperature is None:
      wanted = any(one.uses_temperature for one in self._detectors.values())
      self._temperature = self._fit(state) if wanted else 1.0
    return np.float32(self._temperature)

  def _fit(self, state: TrainState) -> float:
    fit_step = jax.jit(
      temperature_scaling.make_fit_step(self._model),
      out_shardings=mesh_lib.replicated(self._mesh),
    )
    total = np.zeros(len(temperature_scaling.GRID))
    source = self._data.validation_source()
    assert source is not None  # Checked with the config.
    for batch in self._data.evaluation_batches(source):
      inputs = {name: batch[name] for name in ('image', 'label', 'mask')}
      inputs |= outputs.brought(batch)
      nll = fit_step(
        state.params,
        state.batch_stats,
        mesh_lib.put_batch(inputs, self._mesh),
      )
      total += np.asarray(nll, np.float64)
    fitted = temperature_scaling.choose(total)
    say(f'temperature {fitted:.3f}, fitted on {len(source)} validation images')
    return fitted


def _load_fitted(
  folders: Mapping[str, str],
  detectors: Mapping[str, FailureDetector],
  has_members: bool,
) -> dict[str, fitted.Loaded]:
  """The fits that these detectors look at, by key of `FITTED`."""
  names = {fitted_name(one) for one in detectors.values()} - {''}
  if has_members:
    names -= {'ensemble'}  # Batches bring what the members say.
  return {
    name: fitted.load(name, Path(folders[name])) for name in sorted(names)
  }


def _add_differences(
  metrics: dict[str, Any], images: ImageTables, baselines: Sequence[str]
) -> dict[str, ImageTable]:
  """Puts the paired differences into a data set's entry; returns the tables."""
  tables, sequences = images.tables(), images.sequences()
  metrics['sequences'] = len(np.unique(sequences))
  pooled = {name: one['pooled'] for name, one in metrics['failure'].items()}
  differences = paired_differences(tables, pooled, sequences)
  for name, found in differences.items():
    metrics['failure'][name] |= found
  to_best = difference_to_best_baseline(pooled, differences, baselines)
  if to_best is not None:
    metrics['failure']['fsnet']['difference_to_best_baseline'] = to_best
  return tables
