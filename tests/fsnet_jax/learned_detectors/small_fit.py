"""A frozen S to fit to: untrained, but saved as a finished run saves it.

Networks are replaced by ones that compile in a second. What they stand for
has tests of its own: tests/models and tests/parity.
"""

import contextlib

import flax.linen as nn
import jax
import jax.numpy as jnp

from configs import fsnet_fcn8
from fsnet_jax.builders import data_sources, networks
from fsnet_jax.learned_detectors import correctness, fit_loop
from fsnet_jax.models.baselines import discriminator, spade
from fsnet_jax.models.layers import basic
from fsnet_jax.models.layers.initializers import host_init
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.runtime.workdir import open_workdir
from tests.fsnet_jax.models import quick

STEPS = 2
NUM_TRAIN = 6


class SmallSegmentation(nn.Module):
  """S: one layer of features, one of scores."""

  num_classes: int = 19

  @nn.compact
  def __call__(self, images, train=False):
    x = basic.conv(8, 3, stride=2, name='encoder')(images / 255 - 0.5)
    x = nn.relu(x)
    logits = basic.conv(self.num_classes, 1, name='score')(x)
    logits = logits.repeat(2, axis=1).repeat(2, axis=2)
    return SegmentationOutput(logits=logits, features=x)

  @nn.nowrap
  def check_image_size(self, image_size):
    pass


class SmallComparison(nn.Module):
  """As `ComparisonNet`: any number of pictures, batch norm, two heads."""

  num_classes: int = 19
  width: float = 1.0
  remat: bool = False
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, pictures, seg_logits, train=False):
    x = [picture / 255 for picture in pictures]
    x = jnp.concatenate([*x, jax.nn.softmax(seg_logits)], -1)
    x = basic.conv(8, 3, name='encoder')(x)
    x = nn.relu(basic.batch_norm(train, name='norm')(x))
    right = basic.conv(1, 1, name='right')(x)[..., 0]
    ious = basic.conv(self.num_classes, 1, name='iou')(x).mean((1, 2))
    return right, ious


def replace_networks(patch):
  """Puts the small networks in the place of the real ones.

  Args:
    patch: a `pytest.MonkeyPatch`.
  """
  patch.setitem(
    networks.NETWORKS, 'fcn8', lambda options, common: SmallSegmentation()
  )
  patch.setattr(correctness, 'ComparisonNet', SmallComparison)
  patch.setattr(spade, 'WIDTHS', (16, 8))
  patch.setattr(discriminator, 'LAYERS', ((8, 2), (16, 1)))
  patch.setattr(fit_loop, '_compiled', lambda task, mesh: quick.jit(task.step))


def config_of(cache):
  """The shipped demo, as small as it goes."""
  config = fsnet_fcn8.get_config()
  config.image_size = (32, 64)
  config.width = 0.02
  config.batch_size = 2
  config.eval.batch_size = 2
  config.segmentation.head_width = 8
  config.failure.branches = 'single'
  config.failure.decoder = 'four_scale'
  config.phase1_steps, config.phase2_steps = STEPS, 0
  config.phase3_steps = 3
  config.checkpoint_every_steps = 2
  config.log_every_steps = 1
  config.data.num_train = NUM_TRAIN
  config.data.validation_split = ''
  config.data.cache_dir = str(cache)
  fit = config.fit
  fit.num_folds = 3
  fit.predictions = 'own'
  for name in ('tcp', 'direct', 'synthcp'):
    fit[name].steps = 3
    fit[name].batch_size = 2
  fit.synthcp.gan_steps = 2
  fit.synthcp.gan_batch_size = 2
  fit.ensemble.members = 2
  fit.obsnet.steps = 3
  fit.obsnet.batch_size = 2
  fit.pixel.batch_size = fit.conv.batch_size = 2
  fit.pixel.pixels = 50
  fit.class_logistic.steps = 3
  fit.class_logistic.batch_size = 2
  fit.class_logistic.pixels = 50
  return config


def save_run(config, folder, seed):
  """What a run of phase 1 leaves, with S as `seed` draws it."""
  shape = jax.ShapeDtypeStruct((1, *config.image_size, 3), jnp.float32)
  params = host_init(networks.segmentation(config), seed, shape)['params']
  # Without F and the optimiser, which nobody reads here.
  state = {'params': {'segmentation': params}, 'batch_stats': {}}
  state = jax.tree.map(jnp.asarray, state)
  checkpoints = Checkpoints(folder)
  with contextlib.closing(checkpoints):
    if checkpoints.latest_step() is None:
      iterator = data_sources.training_batches(config)
      checkpoints.save(STEPS, state, iterator, {}, None)
      checkpoints.wait()


class QuickTrainer:
  """Stands in for `train.Trainer`: saves a network of its own at once."""

  configs = []

  def __init__(self, config, folder):
    self._config, self._folder = config, folder

  def run(self):
    config = self._config
    self.configs.append(config)
    save_run(config, self._folder, config.seed + 10 * config.fit.hold_out)


def finished_run(folder, cache):
  """The config of a finished run, pointing at it as the frozen S."""
  config = config_of(cache)
  with open_workdir(folder, config):
    save_run(config, folder, config.seed)
  config.init.phase1 = str(folder)
  return config
