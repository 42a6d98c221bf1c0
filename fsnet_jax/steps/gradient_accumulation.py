"""Gradients of a large batch in the memory of a small one."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from common_lib.class_table import VOID

Batch = Mapping[str, Array]
# (params, state, batch) -> (loss, (batch_stats, scalars))
LossFn = Callable[[Any, Any, Batch], tuple[Array, tuple[Any, dict[str, Array]]]]


def split_batch(batch: Batch, parts: int) -> dict[str, Array]:
  """[b ...] as [parts b/parts ...], each part with images of every device.

  Part p holds the images p, p + parts, p + 2 parts ...: where the batch is
  split over devices in blocks, taking them so needs no exchange between
  devices.
  """
  return {
    name: jnp.swapaxes(
      value.reshape(value.shape[0] // parts, parts, *value.shape[1:]), 0, 1
    )
    for name, value in batch.items()
  }


def gradients(
  loss_fn: LossFn, parts: int
) -> Callable[[Any, Any, Batch], tuple[Any, tuple[Any, dict[str, Array]]]]:
  """`jax.grad(loss_fn, has_aux=True)` over `parts` pieces, one at a time.

  Each piece counts by its share of the batch's labelled pixels, so the
  gradient of a mean over pixels is that of the whole batch. What depends on
  the batch as a whole sees a piece instead: batch norm's statistics (updated
  piece after piece) and the share of errors that balances L2.

  Args:
    loss_fn: `(params, state, batch)` to the loss, with `(batch_stats,
      scalars)` beside it; `state` has `batch_stats` and `dropout_key`.
    parts: number of pieces, which divides the batch; 1 changes nothing.

  Returns:
    `(params, state, batch)` to the gradients and `(batch_stats, scalars)`;
    scalars are means by the same weights.
  """
  whole = jax.grad(loss_fn, has_aux=True)
  if parts == 1:
    return whole

  def accumulated(params, state, batch):
    pieces = split_batch(batch, parts)
    labelled = jnp.sum(batch['label'] != VOID)

    def one_piece(carry, piece):
      index, stats = carry
      key = jax.random.wrap_key_data(state.dropout_key)
      local = state.replace(
        batch_stats=stats,
        dropout_key=jax.random.key_data(jax.random.fold_in(key, index)),
      )
      grads, (stats, scalars) = whole(params, local, piece)
      share = jnp.sum(piece['label'] != VOID) / jnp.maximum(labelled, 1)
      scaled = jax.tree.map(lambda leaf: leaf * share, (grads, scalars))
      return (index + 1, stats), scaled

    return _sum_over(one_piece, (0, state.batch_stats), pieces)

  return accumulated


def _sum_over(one_piece, carry, pieces):
  """Scans with the sums in the carry: no piece's gradient is kept."""
  first = jax.tree.map(lambda leaf: leaf[0], pieces)
  shapes = jax.eval_shape(one_piece, carry, first)[1]
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

  def step(state, piece):
    carry, total = state
    carry, value = one_piece(carry, piece)
    return (carry, jax.tree.map(jnp.add, total, value)), None

  ((_, stats), (grads, scalars)), _ = jax.lax.scan(step, (carry, zeros), pieces)
  return grads, (stats, scalars)
