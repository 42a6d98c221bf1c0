"""What stands in for training and networks in the tests of a comparison's run.

Scores and labels are drawn; what adds them up is real.
"""

import contextlib
import copy
import json

import jax.numpy as jnp
import numpy as np
import pytest

from common_lib import class_table
from fsnet_jax.config import run_paths
from fsnet_jax.evaluation import cache
from fsnet_jax.evaluation.evaluator import DatasetResult
from fsnet_jax.evaluation.image_tables import ImageTables
from fsnet_jax.experiments import ablation
from fsnet_jax.experiments.comparison import cells, evaluation
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.metrics.failure import FailureHistogram
from fsnet_jax.metrics.segmentation import (
  SegmentationMetrics,
  confusion_counts,
)
from fsnet_jax.report.metrics_json import write_metrics_json
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.interrupts import Interrupted

DATASETS = ('streets/day', 'streets/day@blur2')
IMAGES, SIZE = 10, (16, 32)


def batches(seed, names):
  """Ten images in batches of four, as the evaluation makes them."""
  rng = np.random.default_rng(seed)
  for start in range(0, 12, 4):
    index = np.arange(start, start + 4)
    index = np.where(index < IMAGES, index, -1).astype(np.int32)
    label = rng.integers(0, 3, (4, *SIZE)).astype(np.uint8)
    label[:, 0] = class_table.VOID
    wrong = rng.random(label.shape) < 0.2
    prediction = np.where(wrong, (label + 1) % 3, label).astype(np.uint8)
    prediction[:, 0] = 0
    valid = (label != class_table.VOID) & (index >= 0)[:, None, None]
    batch = {
      'image': rng.integers(0, 256, (4, *SIZE, 3)).astype(np.uint8),
      'label': label,
      'mask': index >= 0,
      'index': index,
      'sequence': np.zeros((4, 2), np.uint32),
    }
    score = {
      name: rng.normal(gain * wrong, 1).astype(np.float32)
      for name, gain in zip(names, (2.0, 1.0))
    }
    yield batch, {'prediction': prediction, 'valid': valid, 'score': score}


def dataset(seed, names, observe):
  """One data set by the real accumulators: its entry, and its tables."""
  segmentation = SegmentationMetrics.empty(class_table.CITYSCAPES.num_classes)
  failure = {
    n: FailureHistogram.empty(class_table.CITYSCAPES.num_classes) for n in names
  }
  images = ImageTables(IMAGES, len(names), mesh_lib.make_mesh())
  for batch, maps in batches(seed, names):
    truth, predicted, valid = (
      jnp.asarray(array)
      for array in (batch['label'], maps['prediction'], maps['valid'])
    )
    confusion = confusion_counts(
      truth, predicted, valid, class_table.CITYSCAPES.num_classes
    )
    segmentation = segmentation.add(np.asarray(confusion))
    for name in names:
      failure[name] = failure[name].update(
        jnp.asarray(maps['score'][name]), predicted != truth, valid, truth
      )
    score = {name: jnp.asarray(s) for name, s in maps['score'].items()}
    on_device = {'prediction': predicted, 'valid': valid, 'score': score}
    images.add(batch, on_device)
    if observe:
      observe(batch, on_device)
  values = segmentation.compute(class_table.CITYSCAPES.names)
  entry = {
    'images': IMAGES,
    'pixels': values.pop('pixels'),
    'segmentation': values,
    'failure': {
      n: failure[n].compute(class_table.CITYSCAPES.names) for n in names
    },
  }
  return entry, images.tables()


class StandIns:
  """Instead of `cells.train` and `evaluate`; counts what is asked for."""

  def __init__(self):
    self.evaluated, self.passes = [], []
    self.variants = []
    self.stop_before = None

  def train(self, config, seed, workdir):
    del config
    folder = workdir / cells.seed_folder(seed)
    for name, cost in (
      ('phase1', Cost(1, 9.0, 80)),
      ('fsnet', Cost(0, 3.0, 40)),
    ):
      (folder / name).mkdir(parents=True, exist_ok=True)
      cost.write(folder / name)

  def train_variant(self, variant, workdir):
    """A cell of Table IV, which must be lent the phase 1 of its seed."""
    cell, folder = variant.config, variant.place(workdir)
    (folder / 'report').mkdir(parents=True)
    lent = run_paths.located(cell, folder).init.phase1
    home = workdir.parent / cells.seed_folder(cell.seed)
    assert lent == str(home / 'phase1') and (home / 'phase1').is_dir()
    assert variant.phase1 is None and not cell.failure.msp_residual
    self.variants.append(variant.title)
    detectors = tuple(cell.eval.detectors)
    metrics = {
      'schema': 1,
      'config': cell.to_dict(),
      'environment': {'jax': '0', 'device': 'cpu', 'date': '2026-01-01'},
      'evaluation': cache.describe(cell, folder, cache.data_versions(cell)),
      'datasets': {
        one: dataset(len(variant.title) + place, detectors, None)[0]
        for place, one in enumerate(cell.eval.datasets)
      },
    }
    write_metrics_json(folder / 'report' / 'metrics.json', metrics)
    return json.loads((folder / 'report' / 'metrics.json').read_text())

  def evaluate(
    self, cell, workdir, origin, observers=None, kept=None, keep=None
  ):
    self.evaluated.append(workdir.name)
    results = {}
    for place, name in enumerate(cell.eval.datasets):
      if name in (kept or {}):
        results[name] = kept[name].metrics
        continue
      if observers and name == self.stop_before:
        raise Interrupted('Interrupted while evaluating')
      self.passes.append(name)
      results[name], tables = dataset(
        100 * cell.seed + place,
        tuple(cell.eval.detectors),
        (observers or {}).get(name),
      )
      if keep:
        keep(name, DatasetResult(results[name], [], tables))
    metrics = {
      'schema': 1,
      'config': cell.to_dict(),
      'environment': {'jax': '0', 'device': 'cpu', 'date': '2026-01-01'},
      'evaluation': cache.describe(cell, workdir, cache.data_versions(cell)),
      'datasets': results,
    }
    (workdir / 'report').mkdir(exist_ok=True)
    write_metrics_json(workdir / 'report' / 'metrics.json', metrics)
    return metrics


@contextlib.contextmanager
def installed():
  """The stand-ins in their places, as long as the block lasts."""
  with pytest.MonkeyPatch.context() as patch:
    found = StandIns()
    patch.setattr(cells, 'train', found.train)
    patch.setattr(evaluation, 'evaluate', found.evaluate)
    patch.setattr(ablation, '_train_cell', found.train_variant)
    patch.setattr(evaluation.data_sources, 'source', lambda *_: range(IMAGES))
    yield found


def changed(config, **fields):
  """A copy with other fields; two underscores stand for a dot."""
  other = copy.deepcopy(config)
  other.update_from_flattened_dict(
    {name.replace('__', '.'): value for name, value in fields.items()}
  )
  return other


def read(path):
  """A JSON file."""
  return json.loads(path.read_text())
