"""One data axis over all devices; the batch is split, the state is whole."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from common_lib.errors import UserError

_DATA_AXIS = 'data'


def make_mesh() -> Mesh:
  """All devices of all processes on one axis.

  Auto axes: under the default explicit ones, bincount and scatter-add (the
  metric accumulators) do not compile.
  """
  return jax.make_mesh(
    (jax.device_count(),), (_DATA_AXIS,), axis_types=(AxisType.Auto,)
  )


def make_local_mesh() -> Mesh:
  """The devices of this process alone: its programs wait for no other one."""
  return jax.make_mesh(
    (jax.local_device_count(),),
    (_DATA_AXIS,),
    axis_types=(AxisType.Auto,),
    devices=jax.local_devices(),
  )


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """The first axis of an array split over the devices."""
  return NamedSharding(mesh, PartitionSpec(_DATA_AXIS))


def replicated(mesh: Mesh) -> NamedSharding:
  """The whole array on every device."""
  return NamedSharding(mesh, PartitionSpec())


def check_batch_size(name: str, batch_size: int) -> None:
  """Raises UserError unless every device gets the same number of images."""
  devices = jax.device_count()
  if batch_size < 1 or batch_size % devices:
    raise UserError(
      f'config.{name} is {batch_size}, which {devices} devices cannot share '
      f'equally: choose a multiple of {devices}.'
    )


def local_batch_size(batch_size: int) -> int:
  """Images that this process has of a batch of all.

  Args:
    batch_size: of all processes together.

  Returns:
    As many on each of its devices as any device has; at least one.
  """
  each = max(1, batch_size // jax.device_count())
  return each * jax.local_device_count()


def check_accumulation(batch_size: int, steps: int) -> None:
  """Raises UserError unless the batch can be worked through in `steps`."""
  devices = jax.device_count()
  if steps < 1 or batch_size % (steps * devices):
    raise UserError(
      f'config.accumulate_steps is {steps}, into which config.batch_size='
      f'{batch_size} on {devices} devices cannot be cut: batch_size must be a '
      'multiple of accumulate_steps times the number of devices.'
    )


def put_batch(
  batch: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.Array]:
  """Global arrays from this process's share of a batch."""
  sharding = batch_sharding(mesh)
  return {
    name: jax.make_array_from_process_local_data(sharding, np.asarray(value))
    for name, value in batch.items()
  }


def put_replicated(tree: Any, mesh: Mesh) -> Any:
  """A pytree of host arrays, equal on every process, onto every device."""
  sharding = replicated(mesh)

  def put(leaf):
    host = np.asarray(leaf)
    return jax.make_array_from_callback(
      host.shape, sharding, lambda index: host[index]
    )

  return jax.tree.map(put, tree)


def local_rows(array: jax.Array) -> np.ndarray:
  """This process's rows of a batch-sharded array, in batch order."""
  shards = sorted(
    array.addressable_shards, key=lambda shard: shard.index[0].start or 0
  )
  return np.concatenate([np.asarray(shard.data) for shard in shards])
