"""Measures the networks of a cycle, and decides whether the loop ends."""

from collections.abc import Mapping
from typing import Any

import jax

from common_lib.class_table import VOID
from common_lib.console import say
from fsnet_jax.metrics.segmentation import SegmentationMetrics, confusion_counts
from fsnet_jax.models.segmentation import outputs
from fsnet_jax.runtime import mesh as mesh_lib
from input_pipeline.sources import Source
from segxal_jax.config import builders
from segxal_jax.config.stop import stop_options
from segxal_jax.explanation.step import variables_of
from segxal_jax.loop import cycle_files, stopping
from segxal_jax.loop.context import Run
from segxal_jax.loop.predictor import DEPTH
from segxal_jax.loop.state import DONE, LoopState
from segxal_jax.pool import entries, stratified_folds

# All pixels of a data set; those of them that are near are `cycle_files.NEAR`.
_WHOLE = 'whole'


def confusions(
  batch: Mapping[str, Any], predicted: Any, near_m: float, num_classes: int
) -> dict[str, Any]:
  """Confusion of each image, of all pixels and of the near ones.

  Args:
    batch: `label` [b h w], `mask` [b], and `depth` [b h w] in metres, NaN where
      it was not measured, or none.
    predicted: classes [b h w].
    near_m: what is nearer is near.
    num_classes: c.

  Returns:
    `whole` and, where there is depth, `near`: int32 [b c c] each.
  """
  valid = (batch['label'] != VOID) & batch['mask'][:, None, None]
  counted = {_WHOLE: valid}
  if DEPTH in batch:
    # NaN is nearer than nothing.
    counted[cycle_files.NEAR] = valid & (batch[DEPTH] < near_m)
  return {
    name: confusion_counts(batch['label'], predicted, pixels, num_classes)
    for name, pixels in counted.items()
  }


def _make_step(run: Run) -> Any:
  """The compiled (params, batch_stats, batch) -> `confusions`."""
  network = run.model.segmentation
  near_m, num_classes = run.config.eval.near_m, run.classes.num_classes

  def step(params, batch_stats, batch):
    variables = variables_of(params, batch_stats)
    logits = outputs.output_of_batch(network, variables, batch).logits
    return confusions(batch, logits.argmax(-1), near_m, num_classes)

  return jax.jit(step, out_shardings=mesh_lib.replicated(run.mesh))


def _measure(run: Run, state: LoopState, source: Source) -> dict[str, Any]:
  """Each image of a data set exactly once."""
  step = run.compiled('confusion', lambda: _make_step(run))
  empty = SegmentationMetrics.empty(run.classes.num_classes)
  metrics: dict[str, SegmentationMetrics] = {}
  further = [outputs.LOGITS, *([DEPTH] if run.config.eval.near_m else [])]
  for batch in run.predictor.evaluation_batches(state, source):
    names = ['image', 'label', 'mask', *(n for n in further if n in batch)]
    inputs = {name: batch[name] for name in names}
    counts = step(
      state.train.params,
      state.train.batch_stats,
      mesh_lib.put_batch(inputs, run.mesh),
    )
    for name, matrices in jax.device_get(counts).items():
      metrics[name] = metrics.get(name, empty).add(matrices)
    run.check_stop('evaluating')
  values = metrics[_WHOLE].compute(run.classes.names)
  near = {}
  if cycle_files.NEAR in metrics:
    of_near = metrics[cycle_files.NEAR].compute()
    near[cycle_files.NEAR] = {
      'meters': run.config.eval.near_m,
      'pixels': of_near['pixels'],
      'miou': of_near['miou'],
    }
  return {
    'images': len(source),
    'pixels': values.pop('pixels'),
    'segmentation': values,
    **near,
  }


def _test_sets(run: Run) -> dict[str, Source]:
  """Those of the config, and the pool's held-out fold."""
  sources = {
    name: builders.test_source(run.config, name)
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
    'cost': spent.entry(),
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
    curves = {'miou': miou}
    near = entry.get(cycle_files.NEAR)
    if near and near['miou'] is not None:
      near_title = f'nearer than {near["meters"]:g} m'
      parts[-1] += f' ({near_title} {100 * near["miou"]:.2f}%)'
      curves['near_miou'] = near['miou']
    for unit in entries.UNITS:
      paid = measured['cost'][unit]
      tags = {f'{name}/{curve}_by_{unit}': v for curve, v in curves.items()}
      run.writer.write_scalars(int(paid), tags)
  cost = measured['cost']
  say(
    f'cycle {measured["cycle"]}  predict  {measured["labelled_images"]} of '
    f'{measured["pool_images"]} images labelled, {cost["pixels"]:,} pixels, '
    f'{cost["clicks"]:,} clicks: {"; ".join(parts)}'
  )
