"""VAAL's losses by hand and its judge at work; an ensemble's votes on disk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from configs import segxal_unet
from fsnet_jax.runtime.interrupts import StopRequest
from segxal_jax.config import validation
from segxal_jax.loop.auxiliary_models import ensemble, views
from segxal_jax.loop.auxiliary_models.vaal import Vaal
from segxal_jax.loop.context import Run
from segxal_jax.loop.driver import _first_state
from tests.fsnet_jax.models import quick
from tests.segxal_jax.loop import small_loop


@pytest.fixture(scope='module')
def networks():
  vaal = Vaal(
    side=16, latent=4, width=1 / 64, learning_rate=1e-2, jit=quick.jit
  )
  return vaal, vaal.init(0)


def _images(count, level, seed=0):
  rng = np.random.default_rng(seed)
  noise = rng.integers(-20, 21, (count, 20, 24, 3))
  return np.clip(level + noise, 0, 255).astype(np.uint8)


def test_coder_loss_by_hand(networks):
  vaal, state = networks
  images = np.random.default_rng(1).random((3, 16, 16, 3)).astype(np.float32)
  coder = {name: state.params[name] for name in ('encoder', 'decoder')}
  zero = jax.tree.map(np.zeros_like, coder)
  # Zero weights: mean and log variance are 0, so is the picture; the judge's
  # biases are 0, so its verdict is one half.
  loss, stats = quick.jit(vaal.coder_loss)(
    state, zero, images, jax.random.key(0)
  )
  expected = (images**2).mean() + 2 * np.log(2)
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  # A log variance of ln 2 everywhere costs (2 - 1 - ln 2) / 2 a dimension.
  zero['encoder']['log_variance']['bias'][:] = np.log(2)
  wider, _ = quick.jit(vaal.coder_loss)(state, zero, images, jax.random.key(0))
  cost = 4 * (1 - np.log(2)) / 2 / (16 * 16 * 3)
  np.testing.assert_allclose(wider - loss, cost, rtol=2e-2)
  assert set(stats) == {'encoder', 'decoder'}


def test_the_judge_finds_images_unlike_the_labelled_ones(networks):
  vaal, state = networks
  for number in range(12):
    batch = {
      'labelled': _images(8, 60, number),
      'unlabelled': _images(8, (60, 190)[number % 2], 100 + number),
    }
    state, _ = vaal.train_step(state, batch, jax.random.key(number))
  novelty = quick.jit(vaal.novelty)
  strange = np.asarray(novelty(state, _images(8, 190, 999)))
  like = np.asarray(novelty(state, _images(8, 60, 998)))
  assert strange.min() > like.max()


def test_members_survive_the_disk(tmp_path):
  variables = {
    'params': {'a': {'kernel': np.arange(3.0)}, 'b': np.ones((2, 2))},
    'batch_stats': {},
  }
  path = tmp_path / '1.npz'
  ensemble._write(path, variables)
  read = ensemble._read(path, variables)
  assert jax.tree.structure(read) == jax.tree.structure(variables)
  jax.tree.map(np.testing.assert_array_equal, read, variables)
  assert jnp.asarray(read['params']['a']['kernel']).shape == (3,)
  other = {'params': {'a': {'kernel': np.arange(4.0)}}, 'batch_stats': {}}
  with pytest.raises(UserError, match='1.npz.*does not fit.*delete it'):
    ensemble._read(path, other)
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  with pytest.raises(UserError, match='1.npz.*delete it.*trained again'):
    ensemble._read(path, variables)


@pytest.mark.parametrize(
  ('field', 'value', 'words'),
  [('vaal_side', 40, 'multiple of 16'), ('ensemble', 1, 'at least 2')],
)
def test_a_mistake_names_its_field(field, value, words):
  config = segxal_unet.get_config('streets')
  config.acquisition.strategy = 'ensemble_vote_entropy'
  config.acquisition[field] = value
  with pytest.raises(UserError, match=words):
    validation.check(config)


class _Recorded:
  """A pool that knows which scenes were read."""

  def __init__(self, pool):
    self._pool, self.read = pool, []

  def __len__(self):
    return len(self._pool)

  def __getitem__(self, index):
    self.read.append(index)
    return self._pool[index]


@pytest.fixture(scope='module')
def viewal(data, tmp_path_factory):
  """(run, state) of a pool of three scenes, seen four times each."""
  config = segxal_unet.get_config('streets')
  fields = small_loop.FIELDS | {
    'data.name': 'street_views',
    'data.cache_dir': str(data),
    'data.num_train': 12,
    'depth.provider': 'dataset',
    'acquisition.strategy': 'viewal',
    'acquisition.members': 2,
  }
  config.update_from_flattened_dict(fields)
  validation.check(config)
  with StopRequest() as stop:
    run = Run(config, tmp_path_factory.mktemp('viewal'), stop)
    run.pool = _Recorded(run.pool)
    yield run, _first_state(run)
    run.close()


def test_processes_share_the_scenes_of_views(viewal, monkeypatch):
  run, state = viewal
  # Every view of two scenes, and one of a third: whole scenes are scored.
  indices = [5, *range(4), *range(8, 12)]
  single = views.score(run, state, indices)
  assert single['group'].tolist() == [1, *[0] * 4, *[2] * 4]
  values = np.stack([single['view_entropy'], single['view_divergence']])
  assert np.isfinite(values).all() and (values >= 0).all() and values.any()
  names = [run.pool[index]['sequence'] for index in range(12)]
  parts, asked = [], []
  monkeypatch.setattr(views, 'scene_texts', lambda pool, field: names)
  monkeypatch.setattr(run, 'check_stop', asked.append)
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  for index, scenes in enumerate(([1, 2], [0])):
    monkeypatch.setattr(jax, 'process_index', lambda index=index: index)
    monkeypatch.setattr(
      views, 'exchanged', lambda own: parts.append(own) or [_every(own)]
    )
    run.pool.read.clear()
    views.score(run, state, indices)
    members = [4 * scene + view for scene in scenes for view in range(4)]
    assert run.pool.read == members
  # Both ask as often, though one has fewer scenes.
  assert len(asked) == 4
  monkeypatch.setattr(views, 'exchanged', lambda own: parts)
  together = views.score(run, state, indices)
  for name, value in single.items():
    np.testing.assert_array_equal(together[name], value)


def _every(own):
  """What a process has, as if of all images."""
  return [*((index, (0.0, 0.0)) for index in range(12)), *own]
