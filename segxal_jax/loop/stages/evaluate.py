"""Measures the networks of a cycle, and decides whether the loop ends."""

from typing import Any

import jax

from common_lib.class_table import VOID
from common_lib.console import say
from fsnet_jax.builders import data_sources
from fsnet_jax.metrics.segmentation import SegmentationMetrics, confusion_counts
from fsnet_jax.models.segmentation import outputs
from fsnet_jax.runtime import mesh as mesh_lib
from input_pipeline.sources import Source
from segxal_jax.config import builders
from segxal_jax.config.stop import stop_options
from segxal_jax.explanation.step import variables_of
from segxal_jax.loop import cycle_files, stopping
from segxal_jax.loop.context import Run
from segxal_jax.loop.state import DONE, LoopState
from segxal_jax.pool import stratified_folds


def _make_step(run: Run) -> Any:
  """The compiled (params, batch_stats, batch) -> confusion of each image."""
  network = run.model.segmentation

  def step(params, batch_stats, batch):
    variables = variables_of(params, batch_stats)
    logits = outputs.output_of_batch(network, variables, batch).logits
    valid = (batch['label'] != VOID) & batch['mask'][:, None, None]
    return confusion_counts(
      batch['label'], logits.argmax(-1), valid, run.classes.num_classes
    )

  return jax.jit(step, out_shardings=mesh_lib.replicated(run.mesh))


def _measure(run: Run, state: LoopState, source: Source) -> dict[str, Any]:
  """Each image of a data set exactly once."""
  step = run.compiled('confusion', lambda: _make_step(run))
  metrics = SegmentationMetrics.empty(run.classes.num_classes)
  for batch in run.predictor.evaluation_batches(state, source):
    inputs = {name: batch[name] for name in ('image', 'label', 'mask')}
    if outputs.LOGITS in batch:
      inputs[outputs.LOGITS] = batch[outputs.LOGITS]
    counts = step(
      state.train.params,
      state.train.batch_stats,
      mesh_lib.put_batch(inputs, run.mesh),
    )
    metrics = metrics.add(jax.device_get(counts))
    run.check_stop('evaluating')
  values = metrics.compute(run.classes.names)
  return {
    'images': len(source),
    'pixels': values.pop('pixels'),
    'segmentation': values,
  }


def _test_sets(run: Run) -> dict[str, Source]:
  """Those of the config, and the pool's held-out fold."""
  sources = {
    name: data_sources.source(run.config, name)
    for name in run.config.eval.datasets
  }
  return sources | (
    {} if run.fold is None else {stratified_folds.HELD_OUT: run.fold}
  )


def predict(run: Run, state: LoopState) -> LoopState:
  """Evaluates on the test sets, writes the cycle's metrics.json, may end.

  Raises:
    Interrupted: after Ctrl-C or SIGTERM; the evaluation starts anew.
  """
  config, cycle = run.config, state.cycle
  pool = run.ledger.labelled(cycle)
  spent = run.ledger.spent(cycle)
  audits = [annotation.audit for annotation in pool.values()]
  measured: dict[str, Any] = {
    'cycle': cycle,
    'labelled_images': len(pool),
    'pool_images': len(run.pool),
    'cost': {
      'images': spent.images,
      'pixels': spent.pixels,
      'clicks': spent.clicks,
    },
    'training_labels': {
      'pixels': sum(audit['pixels'] for audit in audits),
      'wrong': sum(audit['wrong'] for audit in audits),
    },
    'datasets': {
      name: _measure(run, state, source)
      for name, source in _test_sets(run).items()
    },
    'validation': None,
  }
  validation = builders.validation_source(config)
  if validation is not None:
    measured['validation'] = _measure(run, state, validation)
  if jax.process_index() == 0:
    cycle_files.write_metrics(run.workdir, cycle, measured)
  _tell(run, measured)
  reason = _reason_to_end(run, measured)
  if reason:
    return state.then(DONE, reason=reason)
  return state.then('explain')


def _reason_to_end(run: Run, measured: dict[str, Any]) -> str | None:
  """The first stopping rule that applies."""
  options, cycle = stop_options(run.config), measured['cycle']
  earlier = [
    cycle_files.read_metrics(run.workdir, number) for number in range(1, cycle)
  ]
  scores = [_validation_miou(entry) for entry in [*earlier, measured]]
  unlabelled = len(run.pool) - measured['labelled_images']
  return (
    stopping.pool_empty(unlabelled)
    or stopping.budget_spent(options, run.ledger.spent(cycle))
    or stopping.cycles_done(options, cycle)
    or stopping.plateau(options, scores)
  )


def _validation_miou(entry: dict[str, Any]) -> float | None:
  if entry['validation'] is None:
    return None
  return entry['validation']['segmentation']['miou']


def _tell(run: Run, measured: dict[str, Any]) -> None:
  """A line for the terminal, and curves by budget for TensorBoard."""
  parts = []
  for name, entry in measured['datasets'].items():
    miou = entry['segmentation']['miou'] or 0.0
    parts.append(f'{name} mIoU {100 * miou:.2f}%')
    for unit, paid in measured['cost'].items():
      tag = f'{name}/miou_by_{unit}'
      run.writer.write_scalars(int(paid), {tag: miou})
  cost = measured['cost']
  say(
    f'cycle {measured["cycle"]}  predict  {measured["labelled_images"]} of '
    f'{measured["pool_images"]} images labelled, {cost["pixels"]:,} pixels, '
    f'{cost["clicks"]:,} clicks: {"; ".join(parts)}'
  )
