"""The pipeline: files in; rows, problems, the worst, classes and groups out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import pyarrow
from apache_beam.io import fileio, filesystem, parquetio
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor.fleet import steps
from fsnet_jax.monitor.monitor import Monitor

_SCHEMA = pyarrow.schema(
  [
    ('image', pyarrow.string()),
    ('height', pyarrow.int32()),
    ('width', pyarrow.int32()),
    ('failure_mean', pyarrow.float64()),
    ('failure_q90', pyarrow.float64()),
    ('flagged_share', pyarrow.float64()),
    ('largest_region', pyarrow.string()),
    ('largest_region_class', pyarrow.string()),
    ('expected_error', pyarrow.float64()),
    ('shift_p', pyarrow.float64()),
    ('milliseconds', pyarrow.float64()),
    ('problem', pyarrow.string()),
  ]
)


@dataclasses.dataclass(frozen=True)
class Options:
  """What is asked for.

  Attributes:
    monitor: path of the exported file, that each worker can read.
    pattern: of the images, as Beam's file systems take it.
    base: what names of images begin behind.
    output: folder, without a slash at its end.
    worst: images that are listed as the worst.
    batch_size: most images at a time.
    segment_share: of an image's pixels, that a region has at least.
  """

  monitor: str
  pattern: str
  base: str
  output: str
  worst: int
  batch_size: int
  segment_share: float


@dataclasses.dataclass(frozen=True)
class Counted:
  """How many images there were.

  Attributes:
    images: that were looked at.
    problems: that could not be read.
  """

  images: int
  problems: int


def run(options: Options, of_beam: Sequence[str] = ()) -> Counted:
  """Runs the pipeline to its end.

  Leaves in the output: `triage-*.jsonl` and `triage-*.parquet` (the rows of
  `--mode=predict`, in any order), `segments-*.jsonl`, `problems-*.jsonl`,
  `worst.jsonl`, `classes.jsonl`, and `groups.jsonl` of a calibrated monitor.

  Args:
    options: see there.
    of_beam: flags of Beam.

  Raises:
    UserError: the monitor or the input cannot be used.
  """
  monitor = Monitor.load(options.monitor)
  found = FileSystems.match([options.pattern])[0].metadata_list
  if not found:
    raise UserError(
      f'--input={options.pattern} matches no file: give a glob in quotes, like '
      "'frames/**.jpg'."
    )
  # So that it is known whether the pipeline may go there.
  flags = PipelineOptions(list(of_beam), save_main_session=False)
  try:
    pipeline = beam.Pipeline(options=flags)
  except (ValueError, TypeError) as error:
    raise UserError(
      f'Beam does not take {quoted(" ".join(of_beam), 120)} '
      f'({quoted(error, 120)}): correct its flags.'
    ) from None
  looked = beam.metrics.Metrics.counter('fleet', 'images')
  failed = beam.metrics.Metrics.counter('fleet', 'problems')
  _build(pipeline, options, monitor, looked, failed)
  result = pipeline.run()
  result.wait_until_finish()
  return Counted(_count(result, 'images'), _count(result, 'problems'))


def _count(result: Any, name: str) -> int:
  wanted = beam.metrics.MetricsFilter().with_namespace('fleet').with_name(name)
  return sum(
    one.committed or one.attempted or 0
    for one in result.metrics().query(wanted)['counters']
  )


def _counting(counter: Any, value: Any) -> Any:
  counter.inc()
  return value


def _build(
  pipeline: beam.Pipeline,
  options: Options,
  monitor: Monitor,
  looked: Any,
  failed: Any,
) -> None:
  """All steps, none of which is run yet."""
  look = steps.Look(options.monitor, options.base, options.segment_share)
  said = (
    pipeline
    | 'find files' >> fileio.MatchFiles(options.pattern)
    | 'spread' >> beam.Reshuffle()
    | 'paths' >> beam.Map(lambda found: found.path)
    | 'batches' >> beam.BatchElements(1, options.batch_size)
    | 'look' >> beam.ParDo(look).with_outputs(steps.PROBLEMS, main='entries')
  )
  entries = said.entries | 'count' >> beam.Map(
    lambda value, counter=looked: _counting(counter, value)
  )
  problems = said[steps.PROBLEMS] | 'count problems' >> beam.Map(
    lambda value, counter=failed: _counting(counter, value)
  )
  triage = entries | 'rows' >> beam.Map(lambda entry: entry['row'])
  _lines(triage, options, 'triage')
  _ = (
    triage
    | 'columns' >> beam.Map(steps.for_parquet)
    | 'parquet'
    >> parquetio.WriteToParquet(
      f'{options.output}/triage', _SCHEMA, file_name_suffix='.parquet'
    )
  )
  regions = entries | 'regions' >> beam.FlatMap(lambda entry: entry['segments'])
  _lines(regions, options, 'segments')
  _lines(problems, options, 'problems')
  worst = (
    triage
    | 'worst' >> beam.combiners.Top.Of(options.worst, key=_risk)
    | 'worst rows' >> beam.FlatMap(lambda rows: rows)
  )
  _lines(worst, options, 'worst', shards=1)
  classes = (
    entries
    | 'by class' >> beam.FlatMap(steps.class_sums)
    | 'sum' >> beam.CombinePerKey(sum)
    | 'class rows' >> beam.Map(steps.class_row)
  )
  _lines(classes, options, 'classes', shards=1)
  if monitor.reference is not None:
    groups = (
      entries
      | 'by group' >> beam.Map(steps.group_values)
      | 'gather' >> beam.GroupByKey()
      | 'shift' >> beam.ParDo(steps.TestShift(monitor.reference))
    )
    _lines(groups, options, 'groups', shards=1)


def _risk(row: dict[str, Any]) -> tuple[float, str]:
  """Ordered as `--mode=predict` has it; images of equal risk by name."""
  return row['failure_mean'], row['image']


def _lines(values: Any, options: Options, name: str, shards: int = 0) -> None:
  """Writes values as JSON lines."""
  form = '' if shards == 1 else None
  _ = (
    values
    | f'{name} as lines' >> beam.Map(steps.as_line)
    | f'write {name}'
    >> beam.io.WriteToText(
      f'{options.output}/{name}',
      '.jsonl',
      num_shards=shards,
      shard_name_template=form,
      compression_type=filesystem.CompressionTypes.UNCOMPRESSED,
    )
  )
