"""A check's result in words."""

from __future__ import annotations

from common_lib.foreign import quoted
from input_pipeline.external.check.report import (
  CheckReport,
  Trial,
)

# A class of more pixels than that should be predicted somewhere.
_NOTABLE_SHARE = 0.01
_POOR = 0.5


def lines(report: CheckReport) -> list[str]:
  """What a check found, one line each.

  Args:
    report: of `run`.
  """
  return [
    f'{report.images} labelled images: pixel accuracy '
    f'{report.pixel_accuracy:.2f}, mIoU {report.miou:.2f}',
    f'{report.milliseconds:.0f} ms an image; memory of this process at most '
    f'{report.memory_bytes / 1e9:.1f} GB; logits from {report.range[0]:.4g} to '
    f'{report.range[1]:.4g}',
    *_classes(report),
    *_advice(report),
  ]


def _classes(report: CheckReport) -> list[str]:
  """Classes in labels and predictions."""
  rows = list(
    zip(report.names, report.label_share, report.predicted_share, strict=True)
  )
  labelled = [row for row in rows if row[1] > 0]
  found = [
    f'{len(labelled)} of {len(rows)} classes are in the labels, '
    f'{sum(row[2] > 0 for row in rows)} in the predictions'
  ]
  never = [row for row in labelled if row[2] == 0]
  if never:
    shown = ', '.join(_share(name, share) for name, share, _ in never)
    found.append(f'never predicted, though labelled: {quoted(shown, 600)}')
  absent = [row for row in rows if row[1] == 0 and row[2] > _NOTABLE_SHARE]
  if absent:
    shown = ', '.join(_share(name, share) for name, _, share in absent)
    found.append(f'predicted, though in no label: {quoted(shown, 600)}')
  return found


def _share(name: str, share: float) -> str:
  return f'{name} ({100 * share:.2g} % of the pixels)'


def _advice(report: CheckReport) -> list[str]:
  """What would have been right."""
  # Whichever explains more; what is left is seen by the next check.
  if report.order:
    return [_order_advice(report)]
  trial = report.better_input
  if trial is not None:
    return [_input_advice(trial, report.description)]
  found = []
  if report.trials:
    best = report.trials[0]
    found.append(
      f'{len(report.trials)} other inputs were tried on {best.images} images '
      '(order of colours, mean, deviation, scale); none is clearly better '
      f'(best: {best.title}, {best.after:.2f} instead of {best.before:.2f})'
    )
  if report.pixel_accuracy < _POOR:
    found.append(
      'pixel accuracy is low, and neither another input nor another order of '
      'the classes explains it: is this the class table of the network, and '
      'are the images like those that it was trained on?'
    )
  elif not report.trials:
    found.append(
      'no other order of the classes is clearly better; the input is up to '
      'whoever made these logits'
    )
  return found


def _input_advice(trial: Trial, description: str) -> str:
  return (
    f'with {trial.title} pixel accuracy would be {trial.after:.2f} instead of '
    f'{trial.before:.2f} (better on {trial.wins} of {trial.images} images): '
    f'write {trial.fix} to "input" in {description}'
  )


def _order_advice(report: CheckReport) -> str:
  seen = [
    index
    for index, share in enumerate(report.label_share)
    if share > 0 and report.order[index] != index
  ]
  moved = ', '.join(
    f'what is called {report.names[report.order[index]]} is '
    f'{report.names[index]}'
    for index in seen[:6]
  )
  more = f' and {len(seen) - 6} more' if len(seen) > 6 else ''
  return (
    f'with another order of the classes pixel accuracy would be '
    f'{report.order_accuracy:.2f} instead of {report.pixel_accuracy:.2f} '
    f'({quoted(moved, 600)}{more}): {report.order_fix}'
  )
