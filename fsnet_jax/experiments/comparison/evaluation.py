"""One evaluation pass per seed and data set, and what it leaves on disk."""

import copy
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from common_lib import json_values
from common_lib.class_table import ClassTable
from common_lib.console import say
from common_lib.files import write_text
from fsnet_jax.builders import data_sources
from fsnet_jax.builders.classes import class_table
from fsnet_jax.evaluation import cache
from fsnet_jax.evaluation.evaluate import evaluate
from fsnet_jax.evaluation.evaluator import DatasetResult
from fsnet_jax.experiments import grid, stored_results
from fsnet_jax.experiments.comparison import cells
from fsnet_jax.experiments.comparison.partial_results import Part, Parts
from fsnet_jax.experiments.comparison.per_image_observer import (
  DatasetObserver,
  rivals,
)
from fsnet_jax.metrics import bootstrap
from fsnet_jax.report.figures.examples import example_sheet
from fsnet_jax.runtime.distributed import barrier
from fsnet_jax.runtime.workdir import open_workdir

_FILE = 'comparison.json'
_PANEL = 'qualitative.png'


@dataclasses.dataclass(frozen=True)
class SeedResult:
  """All that one seed's evaluation found.

  Attributes:
    seed: of the cells.
    metrics: `metrics.json` of all methods, over FSNet's S.
    alone: `metrics.json` of S as phase 1 left it; of an S from elsewhere,
      which is not trained here, the same as `metrics`.
    segments: by data set, detector and budget, `SegmentSums.compute`.
    resolution: by data set, detector and metric, the error of the histograms
      that the draws come from.
    resampled: by data set, detector and metric float64 [r], each draw.
    costs: as `cells.costs`, each as a dictionary.
    panel: the example pictures.
  """

  seed: int
  metrics: Mapping[str, Any]
  alone: Mapping[str, Any]
  segments: Mapping[str, Any]
  resolution: Mapping[str, Any]
  resampled: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
  costs: Mapping[str, Any]
  panel: Path


def _settings(config: ConfigDict) -> dict[str, Any]:
  """What an evaluation depends on; another one is made anew."""
  return {
    'detectors': list(cells.detectors_of(config)),
    'datasets': list(config.eval.datasets),
    'checkpoint': config.eval.checkpoint,
    'dropout_samples': config.eval.dropout_samples,
    'exact_pixels': config.eval.exact_pixels,
    'resize': config.eval.resize,
    'folders': cache.folders(config),
    'num_test': config.data.num_test,
    'resamples': config.compare.resamples,
    'segment_images': config.compare.segment_images,
  }


def data_versions(config: ConfigDict) -> dict[str, Any]:
  """Which images a comparison's evaluations are of.

  Raises:
    UserError: as `data_sources.source`.
  """
  every = copy.deepcopy(config).unlock()
  every.eval.detectors = cells.entries_of(config)
  return cache.data_versions(every)


def _costs(config: ConfigDict, seed: int, workdir: Path) -> dict[str, Any]:
  """What the trainings cost: to the second, so it tells a repeated one."""
  found = cells.costs(config, seed, workdir)
  return {name: dataclasses.asdict(one) for name, one in found.items()}


def finish(
  config: ConfigDict,
  seeds: Sequence[int],
  workdir: Path,
  data: Mapping[str, Any] | None,
  origin: Mapping[str, str] | None = None,
) -> Iterator[SeedResult]:
  """Evaluates the networks of each seed unless that is done.

  Args:
    config: of the comparison.
    seeds: of the cells.
    workdir: of the comparison.
    data: of `data_versions`; None to trust that the images are the same.
    origin: as `evaluate.evaluate` takes it; None to leave out the seeds that
      are still to be evaluated, else they are trained.

  Yields:
    What each seed that is evaluated has left.

  Raises:
    Interrupted: stopped; the same call goes on with the data set that it was
      stopped in, but for S alone, which is short and begins again.
  """

  def read(cell: grid.Cell, folder: Path) -> SeedResult | None:
    del folder  # It reads what lies in others of the seed too.
    return read_seed(config, cell.number, workdir, data)

  def make(cell: grid.Cell, folder: Path) -> SeedResult | None:
    assert origin is not None and data is not None
    _run_seed(config, cell, workdir, origin, data)
    barrier('comparison')  # the others read what process 0 has written
    return read(cell, folder)

  passes = (
    grid.Cell(
      title='all detectors',
      number=seed,
      folder=cells.seed_folder(seed) / cells.FSNET,
      config=cells.joint_config(config, seed),
    )
    for seed in seeds
  )
  making = None if origin is None else make
  for _, result in grid.finish(passes, workdir, read, making, cells.ADVICE):
    yield result


def _run_seed(
  config: ConfigDict,
  cell: grid.Cell,
  workdir: Path,
  origin: Mapping[str, str],
  data: Mapping[str, Any],
) -> None:
  """Evaluates S alone, then all detectors in one pass; see `finish`."""
  seed, folder = cell.number, cell.place(workdir)
  beside = folder.with_name(str(cells.PHASE1))
  alone = cells.alone_config(config, seed)
  if cells.trains_s(config) and cache.read(beside, alone, data) is None:
    say(f'S alone, seed {seed}')
    with open_workdir(beside, alone):
      evaluate(alone, beside, origin)
  with open_workdir(folder, cell.config):
    _evaluate_all(config, seed, workdir, cell.config, origin, data)


def _evaluate_all(
  config: ConfigDict,
  seed: int,
  workdir: Path,
  cell: Any,
  origin: Mapping[str, str],
  data: Mapping[str, Any],
) -> None:
  """Evaluates the data sets that are not done, each kept when it is."""
  home = workdir / cells.seed_folder(seed) / cells.FSNET
  report = home / 'report'
  costs = _costs(config, seed, workdir)
  datasets = list(config.eval.datasets)
  description = cache.describe(cell, home, data)
  parts = Parts(report, datasets, [_settings(config), costs, description])
  if jax.process_index() == 0:
    report.mkdir(exist_ok=True)
    # What describes another evaluation must not outlive its first file.
    (report / _FILE).unlink(missing_ok=True)
    parts.clear(everything=False)
  barrier('comparison begins')
  found = parts.read()
  if found:
    say(f'compare: evaluated before: {", ".join(found)}')
  observers = {
    name: DatasetObserver(
      len(data_sources.source(config, name)),
      config.compare.segment_images,
    )
    for name in datasets
    if name not in found
  }

  def keep(name: str, result: DatasetResult) -> None:
    observer = observers[name]
    segments = observer.segments()
    observer.share_example()
    if jax.process_index() == 0:
      resolution = _write_images(
        parts.images_file(name), result, config.compare.resamples
      )
      found[name] = Part(result, segments, resolution, observer.example)
      parts.write(name, found[name])
    result.tables.clear()  # they are on disk, and the next ones are as large

  kept = {name: part.result for name, part in found.items()}
  evaluate(cell, home, origin, observers, kept, keep)
  if jax.process_index() == 0:
    ordered = {name: found[name] for name in datasets}
    _write_panel(report / _PANEL, ordered, class_table(config))
    content = {
      'settings': _settings(config),
      'costs': costs,
      'segments': {name: part.segments for name, part in ordered.items()},
      'resolution': {name: part.resolution for name, part in ordered.items()},
    }
    write_text(report / _FILE, json.dumps(content, indent=2) + '\n')
    parts.clear(everything=True)


def _write_images(
  path: Path, result: DatasetResult, resamples: int
) -> dict[str, Any]:
  """Writes counts of each image and metrics of each draw, by detector.

  Adds to the metrics what is known of single images (`image_mean`).

  The draws depend on the number of images and draws alone: all detectors and
  all seeds see the same ones.

  Returns:
    By detector and metric, `bootstrap.resolution_error`.
  """
  tables = result.tables
  say(f'compare: {resamples} draws of {len(tables)} detectors')
  arrays = {}
  for name, table in tables.items():
    weights = bootstrap.draws(len(table.counts), resamples)
    found = bootstrap.resampled(table, weights)
    arrays[f'counts/{name}'] = table.counts
    arrays[f'tied/{name}'] = table.tied
    arrays[f'draws/{name}'] = np.stack(
      [found[metric] for metric in bootstrap.METRICS]
    )
  # No array is named allow_pickle, which is NumPy's own keyword.
  # pyrefly: ignore[bad-argument-type]
  np.savez_compressed(path, **arrays)
  failure = result.metrics['failure']
  for name, table in tables.items():
    failure[name]['image_mean'] = table.image_means()
  return {
    name: bootstrap.resolution_error(table, failure[name]['pooled'])
    for name, table in tables.items()
  }


def _write_panel(
  path: Path, parts: Mapping[str, Part], classes: ClassTable
) -> None:
  """The paper's Fig. 4 for the middle image of each data set."""
  titled = [
    dataclasses.replace(part.example, id=f'{name}, {part.example.id}')
    for name, part in parts.items()
    if part.example is not None
  ]
  if not titled:
    return
  known = list(titled[0].failure)
  shown = [*rivals(known), *(name for name in ('fsnet',) if name in known)]
  sheet = example_sheet(titled, shown, columns=4 + len(shown), classes=classes)
  Image.fromarray(sheet).save(path)


def _read_alone(
  config: ConfigDict, seed: int, home: Path, data: Mapping[str, Any] | None
) -> dict[str, Any] | None:
  """`metrics.json` of phase 1; None without one, and of an S from elsewhere.

  Raises:
    BadValue: it is damaged.
  """
  if not cells.trains_s(config):
    return None
  cell = cells.alone_config(config, seed)
  found = cache.read(home / cells.PHASE1, cell, data)
  if found is not None:
    datasets = list(config.eval.datasets)
    stored_results.check_metrics(found, datasets, cell.eval.detectors)
  return found


def read_seed(
  config: ConfigDict,
  seed: int,
  workdir: Path,
  data: Mapping[str, Any] | None = None,
) -> SeedResult | None:
  """What one seed's evaluation left, or None if it is still to be made.

  Args:
    config: of the comparison.
    seed: of the cells.
    workdir: of the comparison.
    data: of `data_versions`; None to trust that the images are the same.
  """
  home = workdir / cells.seed_folder(seed)
  report = home / cells.FSNET / 'report'
  costs = _costs(config, seed, workdir)
  parts = Parts(report, list(config.eval.datasets), None)
  datasets, detectors = list(config.eval.datasets), cells.detectors_of(config)
  try:
    stored = stored_results.read_object(report / _FILE)
    if stored.get('settings') != _settings(config):
      return None
    if stored.get('costs', costs) != costs:
      return None  # A detector has been fitted anew since.
    cell = cells.joint_config(config, seed)
    metrics = cache.read(home / cells.FSNET, cell, data)
    alone = _read_alone(config, seed, home, data) or metrics
    if metrics is None or alone is None:
      return None
    if alone is metrics and cells.trains_s(config):
      return None
    stored_results.check_metrics(metrics, datasets, detectors)
    stored_results.check_compared(metrics)
    resampled = {
      dataset: stored_results.read_draws(
        parts.images_file(dataset), detectors, config.compare.resamples
      )
      for dataset in datasets
    }
    for key, check in (
      ('segments', stored_results.check_segments),
      ('resolution', stored_results.check_resolution),
    ):
      json_values.fields(stored.get(key), key, datasets)
      for dataset in datasets:
        check(stored[key][dataset], detectors)
  except json_values.BadValue:
    return None
  return SeedResult(
    seed,
    metrics,
    alone,
    stored['segments'],
    stored['resolution'],
    resampled,
    costs,
    report / _PANEL,
  )
