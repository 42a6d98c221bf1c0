"""ObsNet: attacks against finite differences, and fits under them."""

import copy
import dataclasses
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from scipy.special import log_softmax

from common_lib.class_table import VOID
from fsnet_jax import cli, learned_detectors
from fsnet_jax.builders.fits import fit_options
from fsnet_jax.learned_detectors import fit_loop, frozen_segmentation
from fsnet_jax.learned_detectors.corrections.conv import initial_variables
from fsnet_jax.learned_detectors.obsnet import attack, observer
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.runtime.interrupts import Interrupted
from tests.fsnet_jax.learned_detectors import small_fit
from tests.fsnet_jax.models import quick

CLASSES = 4
_RNG = np.random.default_rng(5)
_HIDDEN = _RNG.normal(size=(3, 6)).astype(np.float32)
_SCORES = _RNG.normal(size=(6, CLASSES)).astype(np.float32)


def _scores(images, xp):
  """Logits that depend on a pixel and the one to its left."""
  hidden = xp.tanh((images / 127.5 - 1) @ _HIDDEN)
  return (hidden + hidden[:, :, [0, *range(hidden.shape[2] - 1)]]) @ _SCORES


class TinySegmentation(nn.Module):
  """S, by a formula that numpy computes as well."""

  num_classes: int = CLASSES

  @nn.compact
  def __call__(self, images, train=False):
    hidden = jnp.tanh((images / 127.5 - 1) @ _HIDDEN)
    left = jnp.concatenate([hidden[:, :, :1], hidden[:, :, :-1]], axis=2)
    return SegmentationOutput((hidden + left) @ _SCORES, hidden[:, ::4, ::4])

  @nn.nowrap
  def check_image_size(self, image_size):
    pass


def _images(count=2, height=3, width=5):
  images = np.random.default_rng(1).uniform(0, 255, (count, height, width, 3))
  return images.astype(np.float32)


def _slopes(images):
  """Of the cross-entropy of the predicted class, by central differences."""
  images = images.astype(np.float64)
  own = _scores(images, np).argmax(-1)[..., None]

  def loss(images):
    log_probs = log_softmax(_scores(images, np), axis=-1)
    return -np.take_along_axis(log_probs, own, axis=-1).mean()

  slopes = np.zeros_like(images)
  for place in np.ndindex(images.shape):
    ahead, behind = images.copy(), images.copy()
    ahead[place] += 1e-3
    behind[place] -= 1e-3
    slopes[place] = (loss(ahead) - loss(behind)) / 2e-3
  return slopes


@pytest.mark.parametrize('size', [0.02, 0.3])
def test_the_attack_against_finite_differences(size):
  images = _images()
  inside = np.random.default_rng(2).random(images.shape[:3]) < 0.5
  network = TinySegmentation()
  found = np.asarray(
    attack.attacked(network, {}, jnp.asarray(images), jnp.asarray(inside), size)
  )
  slopes = _slopes(images)
  assert (np.abs(slopes) > 1e-7).all()
  moved = np.clip(images + 255 * size * np.sign(slopes), 0, 255)
  expected = np.where(inside[..., None], moved, images)
  np.testing.assert_allclose(found, expected, atol=1e-3)
  ends = np.isin(found[inside], (0, 255)).sum()
  # A large step ends at the end of the range, for some of the colours.
  assert (ends >= 5) == (size == 0.3)
  # S is less sure of what it said.
  own = _scores(images, np).argmax(-1)[..., None]
  sure = [
    np.take_along_axis(log_softmax(_scores(x, np), axis=-1), own, -1).mean()
    for x in (images, found)
  ]
  assert sure[1] < sure[0]


def test_an_s_that_looks_at_nothing_is_not_attacked():
  class Constant(TinySegmentation):
    @nn.compact
    def __call__(self, images, train=False):
      logits = jnp.ones((*images.shape[:3], CLASSES)) + 0 * images[..., :1]
      return SegmentationOutput(logits, logits)

  images = jnp.asarray(_images())
  inside = jnp.ones(images.shape[:3], bool)
  found = attack.attacked(Constant(), {}, images, inside, 0.02)
  np.testing.assert_array_equal(found, images)


@pytest.mark.parametrize(
  ('kind', 'share'), [(0, 1.0), (1, np.pi / 4), (2, 0.5)]
)
def test_a_shape_fills_its_share_of_its_box(kind, share):
  centre = np.array([[40.0, 70.0], [52.5, 60.25]])
  sides = np.array([[60.0, 90.0], [41.0, 77.0]])
  found = attack._covered(
    jnp.asarray(centre), jnp.asarray(sides), jnp.full(2, kind), (90, 130)
  )
  for inside, middle, box in zip(np.asarray(found), centre, sides):
    rows, columns = np.nonzero(inside)
    for places, where, side in zip((rows, columns), middle, box):
      assert places.min() + 0.5 >= where - side / 2
      assert places.max() + 0.5 <= where + side / 2
      assert np.ptp(places) > 0.9 * side
    assert inside.sum() == pytest.approx(share * box.prod(), rel=0.03)


@pytest.mark.parametrize('size', [(36, 64), (64, 32), (8, 8)])
def test_shapes_lie_in_a_window_of_each_image(size):
  count = 200
  found = np.asarray(attack.random_shapes(jax.random.key(0), count, size))
  assert found.shape == (count, *size) and found.any((1, 2)).all()
  for axis, share in ((2, 300 / 360), (1, 360 / 640)):
    places = found.any(axis)
    length = places.shape[1]
    span = length - places.argmax(1) - places[:, ::-1].argmax(1)
    assert span.max() <= share * length + 1
  assert len({one.tobytes() for one in found}) > count // 2
  # Nearly everywhere, sooner or later.
  assert found.any(0).mean() > 0.8
  again = attack.random_shapes(jax.random.key(0), count, size)
  np.testing.assert_array_equal(found, again)
  other = attack.random_shapes(jax.random.key(1), count, size)
  assert (found != np.asarray(other)).any()


def _options(**changes):
  config = small_fit.config_of('')
  own = fit_options('obsnet', config).own
  return dataclasses.replace(own, **changes)


@pytest.mark.parametrize(
  ('share', 'low', 'high'), [(0.25, 0.1, 0.4), (1.0, 1.0, 1.0)]
)
def test_so_many_images_are_attacked(share, low, high):
  images = _images(80, 18, 32).astype(np.uint8)
  label = jnp.zeros((80, 18, 32), jnp.uint8)
  batch = {'image': jnp.asarray(images), 'label': label}
  options = _options(attack_share=share, attack_size=0.02)
  network, key = TinySegmentation(), jax.random.key(3)
  found = observer.under_attack(network, {}, batch, key, options)
  far = np.abs(np.asarray(found['image']) - images)
  assert low <= (far > 0).any((1, 2, 3)).mean() <= high
  assert far.max() == pytest.approx(5.1, abs=1e-4)
  assert found['label'] is label


def test_without_attacks_nothing_is_asked_of_s():
  class Unable(TinySegmentation):
    @nn.compact
    def __call__(self, images, train=False):
      raise AssertionError

  batch = {'image': jnp.asarray(_images(), jnp.uint8)}
  options = _options(attack_share=0.0)
  key = jax.random.key(0)
  assert observer.under_attack(Unable(), {}, batch, key, options) is batch


@pytest.mark.parametrize('kind', ['void', 'right', 'wrong'])
def test_a_batch_that_has_nothing_to_tell(kind, frozen_config):
  network, s = frozen_segmentation.load(frozen_config)
  options = fit_options('obsnet', frozen_config)
  images = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), np.uint8)
  own = dataclasses.replace(options.own, attack_share=float(kind == 'void'))
  said = network.apply(s, jnp.asarray(images, jnp.float32)).logits
  label = np.asarray(jnp.argmax(said, -1), np.uint8)
  if kind != 'right':
    label = np.full_like(label, VOID) if kind == 'void' else (label + 1) % 19
  params, stats = initial_variables(options, own.network)
  loss_fn = observer.loss_of(network, own)

  @quick.jit
  def slopes(params, stats, s, batch):
    key = jax.random.key(0)
    return jax.value_and_grad(loss_fn, has_aux=True)(
      params, stats, s, batch, key
    )

  batch = {'image': images, 'label': label}
  (loss, _), found = slopes(params, stats, s, batch)
  norms = [float(np.abs(leaf).max()) for leaf in jax.tree.leaves(found)]
  assert np.isfinite(norms).all()
  assert (max(norms) == 0) == (loss == 0) == (kind == 'void')


def test_images_are_augmented_as_those_of_the_run(
  frozen_config, monkeypatch, tmp_path
):
  network, s = frozen_segmentation.load(frozen_config)
  config = copy.deepcopy(frozen_config)
  config.data.augment = ('flip', 'noise')
  jobs = []
  monkeypatch.setattr(
    fit_loop, 'run', lambda setting, job, to: jobs.append(job)
  )
  setting = learned_detectors._setting('obsnet', config, network, s, None)
  learned_detectors.FITTED['obsnet'].train(setting, tmp_path)
  assert jobs[0].augment == ('flip', 'noise') and not jobs[0].predictions
  # Stored logits are of the images as they are.
  config.segmentation.name = 'logits'
  assert fit_options('obsnet', config).own.augment == ()


@pytest.fixture
def untyped():
  """Checkpoints are described by states that hold no arrays."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


@pytest.mark.slow
def test_fitted_resumed_and_evaluated(
  frozen_config, tmp_path, monkeypatch, untyped
):
  config = copy.deepcopy(frozen_config)
  config.init.phase1 = ''
  config.phase3_steps = 0
  config.compilation_cache_dir = 'off'
  config.data.num_test = 2
  config.eval.datasets = ('streets/day', 'streets/night')
  config.eval.detectors = ('msp',)
  run, fit = tmp_path / 'run', config.copy_and_resolve_references()
  cli.run(config, run, 'train', {})
  fit.task, fit.fit.detector, fit.init.phase1 = 'fit', 'obsnet', str(run)
  with monkeypatch.context() as patch:
    patch.setattr(
      fit_loop.loop, '_stop_wanted', lambda stop, number: number == 1
    )
    patch.setattr(fit_loop.StopRequest, 'signal_name', 'SIGTERM')
    with pytest.raises(Interrupted, match='saved at step 1 of ObsNet'):
      cli.run(fit, tmp_path / 'broken', 'train', {})
  for name in ('broken', 'whole'):
    cli.run(fit, tmp_path / name, 'train', {})
  broken, whole = (
    learned_detectors.load('obsnet', tmp_path / name).variables
    for name in ('broken', 'whole')
  )
  jax.tree.map(np.testing.assert_array_equal, broken, whole)

  config.eval.detectors = ('msp', 'obsnet')
  config.eval.fitted.obsnet = str(tmp_path / 'whole')
  cli.run(config, run, 'evaluate', {})
  (path,) = run.glob('evaluations/*/metrics.json')
  for found in json.loads(path.read_text())['datasets'].values():
    failure = found['failure']
    assert set(failure) == {'msp', 'obsnet'}
    aurocs = [one['pooled']['auroc'] for one in failure.values()]
    assert all(0 < auroc < 1 for auroc in aurocs) and len(set(aurocs)) == 2
