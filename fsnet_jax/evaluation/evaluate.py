"""A checkpoint on each data set, and the report that this ends in."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.builders import data_sources, networks
from fsnet_jax.detectors import DETECTORS
from fsnet_jax.evaluation.evaluator import DatasetResult, Evaluator, Observer
from fsnet_jax.report import (
  failure_overlay,
  text_table,
  write_report,
)
from fsnet_jax.report.measures import name_detector
from fsnet_jax.runtime import environment
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.runtime.interrupts import StopRequest
from fsnet_jax.runtime.writers import create_writer
from fsnet_jax.training.trainer import new_state


def _choose_step(config: Any, checkpoints: Checkpoints, workdir: Path) -> int:
  step = checkpoints.latest_step()
  if step is None:
    raise UserError(
      f'--mode=evaluate found no checkpoint in --workdir={workdir}: train '
      'first, or name the folder of a run.'
    )
  if config.eval.checkpoint == 'best':
    return checkpoints.best_step() or step
  return step


def _note_shared_images(config: Any) -> None:
  """Says so if validation images are among those that are evaluated."""
  counts = {
    name: data_sources.images_in_common(config, name)
    for name in config.eval.datasets
  }
  shared = [f'{count} of {name}' for name, count in counts.items() if count]
  if shared:
    say(
      f'note: data.validation_split={config.data.validation_split!r} holds '
      f'images that are evaluated ({", ".join(shared)}): a temperature that is '
      'fitted on it, or a checkpoint chosen by it, has seen them'
    )


def evaluate(
  config: Any,
  workdir: Path,
  origin: Mapping[str, str],
  observers: Mapping[str, Observer] | None = None,
  kept: Mapping[str, DatasetResult] | None = None,
  keep: Callable[[str, DatasetResult], None] | None = None,
) -> dict[str, Any]:
  """Evaluates a run's checkpoint and writes `<workdir>/report`.

  Args:
    config: the run's config; `config.eval` says what to evaluate on.
    workdir: folder of the run.
    origin: `config_name` and `command`, so that a reader can repeat the run.
    observers: by data set, what else looks at each batch and its maps.
    kept: by data set, what an interrupted evaluation of the same state has
      found; these are not evaluated again.
    keep: called with each data set's result as soon as there is one.

  Returns:
    The contents of `metrics.json`.

  Raises:
    UserError: if there is no checkpoint, or for a detector whose scores are
      no finite numbers.
    Interrupted: after Ctrl-C or SIGTERM.
  """
  mesh = mesh_lib.make_mesh()
  model = networks.model(config)
  checkpoints = Checkpoints(workdir, read_only=True)
  try:
    step = _choose_step(config, checkpoints, workdir)
    state = checkpoints.restore(step, new_state(config, model, mesh)).state
  finally:
    checkpoints.close()
  evaluator = Evaluator(config, model, mesh)
  evaluator.check_fits(state)
  _note_shared_images(config)
  results = {}
  with StopRequest('while evaluating', has_work=False) as stop:
    for name in config.eval.datasets:
      if name in (kept or {}):
        results[name] = kept[name]
        continue
      source = data_sources.source(config, name)
      say(f'evaluating step {step} on {name}: {len(source)} images')
      observe = (observers or {}).get(name)
      results[name] = evaluator(state, source, stop, observe, name)
      if keep is not None:
        keep(name, results[name])
  metrics = {
    'schema': 1,
    'config': config.to_dict(),
    'environment': environment.describe() | {'step': step} | origin,
    'datasets': {name: result.metrics for name, result in results.items()},
  }
  if jax.process_index() == 0:
    _publish(workdir, step, metrics, results)
  return metrics


def _publish(
  workdir: Path,
  step: int,
  metrics: dict[str, Any],
  results: dict[str, DatasetResult],
) -> None:
  """Report files, TensorBoard and the table on the terminal."""
  examples = {name: result.examples for name, result in results.items()}
  for name in metrics['config']['eval']['detectors']:
    name_detector(name, DETECTORS[name].title)  # those of a user's own
  files = write_report(workdir / 'report', metrics, examples)
  writer = create_writer(workdir)
  for name, result in results.items():
    writer.write_scalars(step, _scalars(name, result.metrics))
    for detector in list(result.metrics['failure'])[:1]:  # the config's first
      overlays = [
        failure_overlay(example.image, example.failure[detector])
        for example in result.examples
      ]
      if overlays:
        writer.write_images(
          step, {f'{name}/{detector}_overlay': np.stack(overlays)}
        )
  writer.flush()
  writer.close()
  print(text_table(metrics))
  for path in files:
    if path.suffix == '.html':
      say(f'report: {path}')


def _scalars(name: str, metrics: dict[str, Any]) -> dict[str, float]:
  """What of a data set's entry is a curve in TensorBoard."""
  scalars = {
    f'{name}/{key}': value
    for key, value in metrics['segmentation'].items()
    if isinstance(value, float)
  }
  for detector, groups in metrics['failure'].items():
    for key, value in groups['pooled'].items():
      if isinstance(value, float):
        scalars[f'{name}/{detector}/{key}'] = value
  return scalars
