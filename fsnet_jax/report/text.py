"""The main table of a report for a terminal."""

import textwrap
from collections.abc import Mapping
from typing import Any

from fsnet_jax.report import measures, promises, summary

TEXT_WIDTH = 100
# Within a data set E-AURC is AURC less what is the same for all detectors.
_LEFT_OUT = ('e_aurc',)
# A fourth interval does not fit into a line.
_DIFFERENCES = measures.DIFFERENCES_SHOWN[:3]
_DETECTOR_WIDTH = 16
# The longest interval, +100.00 [-100.00, +100.00], and a space.
_INTERVAL_WIDTH = 27


def text_table(metrics: Mapping[str, Any]) -> str:
  """Returns the main table for a terminal, ASCII but for the names.

  Args:
    metrics: a valid metrics dictionary.

  Returns:
    Lines of at most 100 characters: for each data set a heading with the
    base error rate, a line for each detector (`*` marks the best of a column,
    `-` what is not defined), a line for each difference to MSP with its
    interval, and where FSNet stands, in words.
  """
  columns = [
    measure
    for measure in measures.FAILURE_MEASURES
    if measure.key not in _LEFT_OUT
  ]
  lines = [
    _cut('  Detector', _DETECTOR_WIDTH)
    + ''.join(f'{column.title:>{_width(column)}}' for column in columns)
  ]
  for name, dataset in metrics['datasets'].items():
    segmentation = dataset['segmentation']
    facts = (
      f'{dataset["images"]} images,'
      f' error rate {_plain(segmentation["base_error_rate"], "pixel_acc")}%,'
      f' {_miou(segmentation)}'
    )
    room = TEXT_WIDTH - len(facts) - 2
    lines += ['', f'{_cut(name, min(room, len(name)))}: {facts}']
    failure = dataset['failure']
    marks = {
      column.key: measures.best_in_column(
        [entry['pooled'].get(column.key) for entry in failure.values()], column
      )
      for column in columns
    }
    for index, (detector, entry) in enumerate(failure.items()):
      title = measures.detector_title(detector, entry)
      line = _cut(f'  {title}', _DETECTOR_WIDTH)
      for column in columns:
        number = _plain(entry['pooled'].get(column.key), column.key)
        mark = '*' if marks[column.key][index] else ' '
        line += f'{number:>{_width(column) - 1}}{mark}'
      lines.append(line.rstrip())
    lines += _differences(dataset) + _words(dataset) + _promise(dataset)
  lines += [
    '',
    'Pooled over all labelled pixels; rates in %, AURC family x 1000;'
    ' * best, - not defined.',
    'Cov@5%: share of pixels, most trusted first, of which at most 5% are'
    ' wrong.',
    'Brackets: 95% interval of the difference over the choice of images'
    ' (paired bootstrap), not of seeds.',
  ]
  return '\n'.join(lines)


def _promise(dataset: Mapping[str, Any]) -> list[str]:
  """Returns what a calibrated threshold gave, if there is one."""
  entry = dataset.get('calibrated')
  if not entry:
    return []
  said = promises.sentence(entry)
  return textwrap.wrap(
    said, TEXT_WIDTH, initial_indent='  ', subsequent_indent='  '
  )


def _differences(dataset: Mapping[str, Any]) -> list[str]:
  """Returns the lines of what each detector has beyond MSP."""
  rows = {
    measures.detector_title(name, entry): entry['difference_to_msp']
    for name, entry in dataset['failure'].items()
    if any((entry.get('difference_to_msp') or {}).values())
  }
  if not rows:
    return []
  columns = [measures.BY_KEY[key] for key in _DIFFERENCES]
  lines = [
    _cut(f'  less {measures.detector_title("msp")}', _DETECTOR_WIDTH)
    + ''.join(f'{column.title:>{_INTERVAL_WIDTH}}' for column in columns)
  ]
  for title, differences in rows.items():
    line = _cut(f'  {title}', _DETECTOR_WIDTH)
    for column in columns:
      interval = differences.get(column.key)
      text = measures.format_interval(interval, column) if interval else '-'
      line += f'{text:>{_INTERVAL_WIDTH}}'
    lines.append(line)
  return lines


def _words(dataset: Mapping[str, Any]) -> list[str]:
  """Returns where FSNet stands, in lines."""
  return textwrap.wrap(
    summary.summarize(dataset).headline,
    TEXT_WIDTH,
    initial_indent='  ',
    subsequent_indent='  ',
  )


def _miou(segmentation: Mapping[str, Any]) -> str:
  """Returns mIoU, in both conventions where they look different."""
  own = _plain(segmentation['miou'], 'miou')
  theirs = _plain(segmentation.get('miou_cityscapes'), 'miou')
  if theirs in ('-', own):
    return f'mIoU {own}'
  return f"mIoU {own} (by Cityscapes' script {theirs})"


def _width(column: measures.Measure) -> int:
  """Returns the width of a column of the terminal's table."""
  # The longest number, its mark and a space: 100.00 or 1000.00.
  number = len(f'{column.scale:.2f}') + 2
  return max(number, len(column.title) + 2)


def _plain(value: measures.Value, key: str) -> str:
  """Returns a number for the terminal, `-` where it is not defined."""
  if value is None:
    return '-'
  return measures.format_value(value, measures.BY_KEY[key])


def _cut(text: str, width: int) -> str:
  """Brings a text to exactly the width."""
  if len(text) > width:
    text = text[: width - 3] + '...'
  return text.ljust(width)
