"""A checkpoint on each data set, and the report that this ends in."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from common_lib.console import say, show
from common_lib.errors import UserError
from fsnet_jax import detectors
from fsnet_jax.builders import data_sources, external, networks
from fsnet_jax.builders.evaluation import evaluation_options
from fsnet_jax.config import run_paths
from fsnet_jax.detectors import use_temperature
from fsnet_jax.evaluation import cache, folders
from fsnet_jax.evaluation.evaluator import DatasetResult, Evaluator, Observer
from fsnet_jax.report import (
  failure_overlay,
  text_table,
  write_report,
)
from fsnet_jax.report.measures import detector_title
from fsnet_jax.runtime import environment
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.runtime.interrupts import StopRequest
from fsnet_jax.runtime.workdir import check_still_there
from fsnet_jax.runtime.writers import create_writer
from fsnet_jax.steps.train_step import WEIGHTS
from fsnet_jax.training.from_config import abstract_state


def _choose_step(
  config: ConfigDict, checkpoints: Checkpoints, workdir: Path
) -> int:
  step = checkpoints.latest_step()
  if step is None:
    raise UserError(
      f'--mode=evaluate found no checkpoint in --workdir={workdir}: train '
      'first, or name the folder of a run.'
    )
  if config.eval.checkpoint == 'best':
    return checkpoints.best_step() or step
  return step


def _restored(config: ConfigDict, workdir: Path) -> tuple[int, Any, Any]:
  """The step that is evaluated, its networks' state, and an `Evaluator`."""
  mesh = mesh_lib.make_mesh()
  model = networks.model(config)
  checkpoints = Checkpoints(workdir, read_only=True)
  try:
    step = _choose_step(config, checkpoints, workdir)
    like = abstract_state(config, model, mesh)
    state = checkpoints.restore(step, like, only=WEIGHTS).state
  finally:
    checkpoints.close()
  if external.is_external(config):
    external.check_same(config, state.params['segmentation'])
  evaluator = Evaluator(
    evaluation_options(config),
    data_sources.RunData(config),
    model,
    mesh,
    workdir,
  )
  evaluator.check_fits(state)
  return step, state, evaluator


def _note_shared_images(config: ConfigDict) -> None:
  """Says so if what validation images decided is judged on the same ones."""
  needed = use_temperature(config.eval.detectors)
  chosen = config.eval.checkpoint == 'best' or config.switch == 'plateau'
  if not needed and not chosen:
    return
  try:
    counts = {
      name: data_sources.images_in_common(config, name)
      for name in config.eval.datasets
    }
  except UserError:
    if needed:
      raise
    return  # They need not be here any more.
  shared = [f'{count} of {name}' for name, count in counts.items() if count]
  if shared:
    say(
      f'note: data.validation_split={config.data.validation_split!r} holds '
      f'images that are evaluated ({", ".join(shared)}): a temperature that is '
      'fitted on it, or a checkpoint chosen by it, has seen them'
    )


def evaluate(
  config: ConfigDict,
  workdir: Path,
  origin: Mapping[str, str],
  observers: Mapping[str, Observer] | None = None,
  kept: Mapping[str, DatasetResult] | None = None,
  keep: Callable[[str, DatasetResult], None] | None = None,
  folder: Path | None = None,
  added: Mapping[str, Callable[[], Mapping[str, Any]]] | None = None,
) -> dict[str, Any]:
  """Evaluates a run's checkpoint and writes the report.

  Args:
    config: the run's config; `config.eval` says what to evaluate on.
    workdir: folder of the run.
    origin: `config_name` and `command`, so that a reader can repeat the run.
    observers: by data set, what else looks at each batch and its maps.
    kept: by data set, what an interrupted evaluation of the same state has
      found; these are not evaluated again.
    keep: called with each data set's result as soon as there is one.
    folder: of the report; None: `<workdir>/report`.
    added: by data set, what makes further keys of its entry once its images
      have been seen.

  Returns:
    The contents of `metrics.json`.

  Raises:
    UserError: if there is no checkpoint, or for a detector whose scores are
      no finite numbers.
    Interrupted: after Ctrl-C or SIGTERM.
  """
  stored, config = config, run_paths.located(config, workdir)
  step, state, evaluator = _restored(config, workdir)
  _note_shared_images(config)
  sources = {
    name: data_sources.source(config, name) for name in config.eval.datasets
  }
  # Before it begins: what changes meanwhile is not what was evaluated.
  description = cache.describe(
    config, workdir, cache.versions_of(config, sources)
  )
  known = kept or {}
  results = {n: known[n] for n in config.eval.datasets if n in known}
  with StopRequest('while evaluating', has_work=False) as stop:
    for name in config.eval.datasets:
      if name not in results:
        say(f'evaluating step {step} on {name}: {len(sources[name])} images')
        observe = (observers or {}).get(name)
        results[name] = evaluator(state, sources[name], stop, observe, name)
        if added and name in added:
          results[name].metrics.update(added[name]())
        if keep is not None:
          keep(name, results[name])
  about = {**environment.describe(), 'step': step, **origin}
  metrics = _metrics(stored, about, description, results)
  if jax.process_index() == 0:
    check_still_there()
    _publish(workdir, folder, step, metrics, results)
  return metrics


def _metrics(
  config: ConfigDict,
  about: Mapping[str, Any],
  description: Mapping[str, Any],
  results: Mapping[str, DatasetResult],
) -> dict[str, Any]:
  """The contents of `metrics.json`."""
  return {
    'schema': 1,
    'config': config.to_dict(),
    'environment': dict(about),
    'evaluation': description,
    'datasets': {
      name: _with_titles(results[name].metrics, config.eval.detectors)
      for name in config.eval.datasets
    },
  }


def _with_titles(
  metrics: dict[str, Any], entries: Sequence[str]
) -> dict[str, Any]:
  """A data set's entry, with the titles of detectors of a user's own.

  They stand in the file: whoever reads it later need not have the detectors.

  Args:
    metrics: entry of a data set.
    entries: `config.eval.detectors`.
  """
  titles = {
    name: {'title': detector.title}
    for name, detector in detectors.resolve(entries).items()
    if detector_title(name, {'title': detector.title}) != detector_title(name)
  }
  failure = {
    name: entry | titles.get(name, {})
    for name, entry in metrics['failure'].items()
  }
  return metrics | {'failure': failure}


def _publish(
  workdir: Path,
  folder: Path | None,
  step: int,
  metrics: dict[str, Any],
  results: dict[str, DatasetResult],
) -> None:
  """Report files, TensorBoard and the table on the terminal.

  Args:
    workdir: of the run.
    folder: of an evaluation of a finished run, which has a TensorBoard of its
      own in it; None for the report and the curves of training.
    step: that was evaluated.
    metrics: contents of `metrics.json`.
    results: by data set.
  """
  examples = {name: result.examples for name, result in results.items()}
  files = write_report(folder or workdir / folders.REPORT, metrics, examples)
  if folder is not None:
    for events in folder.glob('events.out.tfevents.*'):
      events.unlink()
  writer = create_writer(folder or workdir)
  for name, result in results.items():
    writer.write_scalars(step, _scalars(name, result.metrics))
    for detector in list(result.metrics['failure'])[:1]:  # the config's first
      overlays = [
        failure_overlay(example.image, example.failure[detector])
        for example in result.examples
      ]
      tag = f'{name}/{detector}_overlay'
      if len({overlay.shape for overlay in overlays}) == 1:
        writer.write_images(step, {tag: np.stack(overlays)})
      else:  # letterboxed images of several shapes
        writer.write_images(
          step, {f'{tag}_{k}': one[None] for k, one in enumerate(overlays)}
        )
  writer.flush()
  writer.close()
  show(text_table(metrics))
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
