"""One evaluation pass per seed and data set, and what it leaves on disk."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from fsnet_jax import build
from fsnet_jax.comparison import cells
from fsnet_jax.comparison.observer import DatasetObserver, rivals
from fsnet_jax.evaluate import evaluate
from fsnet_jax.metrics import bootstrap
from fsnet_jax.metrics.per_image import ImageTable
from fsnet_jax.report.examples import Example, example_sheet
from fsnet_jax.report.write import file_names
from fsnet_jax.runtime.distributed import barrier
from fsnet_jax.runtime.workdir import open_workdir, write_atomically
from input_pipeline.notices import say

_FILE = 'comparison.json'
_PANEL = 'qualitative.png'


@dataclasses.dataclass(frozen=True)
class SeedResult:
  """All that one seed's evaluation found.

  Attributes:
    seed: of the cells.
    metrics: `metrics.json` of all methods, over FSNet's S.
    alone: `metrics.json` of S as phase 1 left it.
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


def _settings(config: Any) -> dict[str, Any]:
  """What an evaluation depends on; another one is made anew."""
  return {
    'detectors': list(cells.detectors_of(config)),
    'datasets': list(config.eval.datasets),
    'checkpoint': config.eval.checkpoint,
    'dropout_samples': config.eval.dropout_samples,
    'num_test': config.data.num_test,
    'resamples': config.compare.resamples,
    'segment_images': config.compare.segment_images,
  }


def run_seed(
  config: Any, seed: int, workdir: Path, origin: Mapping[str, str]
) -> None:
  """Evaluates one seed's networks unless that is done.

  Args:
    config: of the comparison.
    seed: of the cells, which are trained.
    workdir: of the comparison.
    origin: as `evaluate.evaluate` takes it.

  Raises:
    Interrupted: stopped; the same call evaluates anew.
  """
  if read_seed(config, seed, workdir) is not None:
    return
  folder = cells.seed_folder(workdir, seed)
  say(f'compare: seed {seed}, S alone')
  alone = cells.alone_config(config, seed, folder)
  with open_workdir(folder / 'phase1', alone):
    evaluate(alone, folder / 'phase1', origin)
  say(f'compare: seed {seed}, every detector in one pass')
  cell = cells.joint_config(config, seed, folder)
  observers = {
    name: DatasetObserver(
      len(build.source(config, name)), config.compare.segment_images
    )
    for name in config.eval.datasets
  }
  with open_workdir(folder / 'fsnet', cell):
    metrics = evaluate(cell, folder / 'fsnet', origin, observers)
    segments = {name: one.segments() for name, one in observers.items()}
    if jax.process_index() == 0:
      _store(config, folder / 'fsnet' / 'report', metrics, observers, segments)
  barrier('comparison')  # the others read what process 0 has written


def _store(
  config: Any,
  report: Path,
  metrics: Mapping[str, Any],
  observers: Mapping[str, DatasetObserver],
  segments: Mapping[str, Any],
) -> None:
  """Writes the histograms, the draws, the panel and, last, what is done."""
  names = _names(config)
  resolution = {}
  for dataset, observer in observers.items():
    tables = observer.tables()
    pooled = metrics['datasets'][dataset]['failure']
    resolution[dataset] = {
      name: bootstrap.resolution_error(table, pooled[name]['pooled'])
      for name, table in tables.items()
    }
    say(f'compare: {config.compare.resamples} draws of {dataset}')
    arrays = _arrays(tables, config.compare.resamples)
    np.savez_compressed(report / f'images_{names[dataset]}.npz', **arrays)
  examples = [one.example for one in observers.values() if one.example]
  _write_panel(report / _PANEL, examples, list(observers))
  content = {
    'settings': _settings(config),
    'segments': segments,
    'resolution': resolution,
  }
  write_atomically(report / _FILE, json.dumps(content, indent=2) + '\n')


def _arrays(
  tables: Mapping[str, ImageTable], resamples: int
) -> dict[str, np.ndarray]:
  """Counts of each image and metrics of each draw, by detector.

  The draws depend on the number of images and draws alone: all detectors and
  all seeds see the same ones.
  """
  arrays = {}
  for name, table in tables.items():
    weights = bootstrap.draws(len(table.counts), resamples)
    found = bootstrap.resampled(table, weights)
    arrays[f'counts/{name}'] = table.counts
    arrays[f'tied/{name}'] = table.tied
    arrays[f'draws/{name}'] = np.stack(
      [found[metric] for metric in bootstrap.METRICS]
    )
  return arrays


def _write_panel(path: Path, examples: list[Example], names: list[str]) -> None:
  """The paper's Fig. 4 for the middle image of each data set."""
  if not examples:
    return
  known = list(examples[0].failure)
  shown = [*rivals(known), *(name for name in ('fsnet',) if name in known)]
  titled = [
    dataclasses.replace(example, id=f'{name}, {example.id}')
    for name, example in zip(names, examples)
  ]
  sheet = example_sheet(titled, shown, columns=4 + len(shown))
  Image.fromarray(sheet).save(path)


def _names(config: Any) -> dict[str, str]:
  """A file name for each data set."""
  datasets = list(config.eval.datasets)
  return dict(zip(datasets, file_names(datasets)))


def read_seed(config: Any, seed: int, workdir: Path) -> SeedResult | None:
  """What one seed's evaluation left, or None if it is still to be made."""
  folder = cells.seed_folder(workdir, seed)
  report = folder / 'fsnet' / 'report'
  try:
    stored = json.loads((report / _FILE).read_text())
    if stored['settings'] != _settings(config):
      return None
    metrics = json.loads((report / 'metrics.json').read_text())
    alone = json.loads((folder / 'phase1/report/metrics.json').read_text())
    resampled = {
      dataset: _read_draws(report / f'images_{name}.npz')
      for dataset, name in _names(config).items()
    }
  except (OSError, ValueError, KeyError):
    return None
  return SeedResult(
    seed,
    metrics,
    alone,
    stored['segments'],
    stored['resolution'],
    resampled,
    {
      name: dataclasses.asdict(one)
      for name, one in cells.costs(config, seed, workdir).items()
    },
    report / _PANEL,
  )


def _read_draws(path: Path) -> dict[str, dict[str, np.ndarray]]:
  with np.load(path, allow_pickle=False) as arrays:
    return {
      key.removeprefix('draws/'): dict(zip(bootstrap.METRICS, arrays[key]))
      for key in arrays.files
      if key.startswith('draws/')
    }
