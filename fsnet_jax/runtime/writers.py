"""TensorBoard events through clu's metric writers."""

from pathlib import Path

import jax
from clu import metric_writers


def create_writer(workdir: Path) -> metric_writers.MetricWriter:
  """An asynchronous TensorBoard writer; only process 0 writes.

  clu's default writer would also log every scalar; the progress line does
  that in a form meant for people.
  """
  if jax.process_index() > 0:
    return metric_writers.MultiWriter([])
  return metric_writers.AsyncWriter(metric_writers.SummaryWriter(str(workdir)))
