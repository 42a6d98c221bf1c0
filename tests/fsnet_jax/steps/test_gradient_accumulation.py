"""A batch in pieces has the gradient of the whole batch."""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from common_lib import class_table
from fsnet_jax.steps import gradient_accumulation, losses


@flax.struct.dataclass
class State:
  batch_stats: dict
  dropout_key: jax.Array


def _linear_loss(params, state, batch):
  """A pixel-wise linear S; its one statistic counts the calls."""
  logits = batch['image'] @ params['kernel'] + params['bias']
  valid = batch['label'] != class_table.VOID
  loss = losses.segmentation_loss(logits, batch['label'], valid)
  stats = {'calls': state.batch_stats['calls'] + 1}
  key = jax.random.wrap_key_data(state.dropout_key)
  return loss, (stats, {'loss': loss, 'draw': jax.random.uniform(key)})


def _problem(void_images=()):
  rng = np.random.default_rng(3)
  batch = {
    'image': jnp.asarray(rng.normal(size=(6, 4, 5, 3)), jnp.float32),
    'label': rng.integers(0, 4, (6, 4, 5)).astype(np.uint8),
  }
  # Unequal numbers of labelled pixels, so that the weights matter.
  for index in range(6):
    batch['label'][index, :, : index // 2] = class_table.VOID
  for index in void_images:
    batch['label'][index] = class_table.VOID
  batch['label'] = jnp.asarray(batch['label'])
  params = {
    'kernel': jnp.asarray(rng.normal(size=(3, 4)), jnp.float32),
    'bias': jnp.zeros(4),
  }
  state = State({'calls': 0}, jax.random.key_data(jax.random.key(0)))
  return params, state, batch


@pytest.mark.slow
@pytest.mark.parametrize('void_images', [(), (0, 3), range(6)])
@pytest.mark.parametrize('parts', [2, 3, 6])
def test_pieces_add_up_to_the_whole(parts, void_images):
  problem = _problem(void_images)
  grads, (_, scalars) = gradient_accumulation.gradients(_linear_loss, 1)(
    *problem
  )
  pieces, (stats, found) = gradient_accumulation.gradients(_linear_loss, parts)(
    *problem
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
    grads,
    pieces,
  )
  np.testing.assert_allclose(scalars['loss'], found['loss'], rtol=1e-6)
  # Statistics pass through every piece in turn.
  assert stats['calls'] == parts


def test_each_piece_draws_its_own_dropout():
  params, state, batch = _problem()
  _, (_, one) = gradient_accumulation.gradients(_linear_loss, 1)(
    params, state, batch
  )
  _, (_, two) = gradient_accumulation.gradients(_linear_loss, 2)(
    params, state, batch
  )
  assert one['draw'] != two['draw']


def test_pieces_take_images_of_every_device():
  parts = gradient_accumulation.split_batch({'image': jnp.arange(8)}, 2)[
    'image'
  ]
  np.testing.assert_array_equal(parts, [[0, 2, 4, 6], [1, 3, 5, 7]])


def test_no_piece_keeps_its_gradient():
  """Memory holds one sum of gradients, however many pieces there are."""
  params, state, batch = _problem()
  wide = {'kernel': jnp.zeros((3, 4)), 'bias': jnp.zeros(4)}
  program = jax.make_jaxpr(gradient_accumulation.gradients(_linear_loss, 6))
  jaxpr = str(program(wide, state, batch))
  assert 'scan' in jaxpr and 'f32[6,3,4]' not in jaxpr
  assert optax.tree.norm(params) > 0
