"""Networks small enough to compile in a second, for tests of the wiring."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from common_lib.errors import UserError
from fsnet_jax.models import fsnet as fsnet_module
from fsnet_jax.models.cpu import pooling
from fsnet_jax.models.layers import basic
from fsnet_jax.models.segmentation.protocol import SegmentationOutput

SIZE = (8, 12)


class SmallSegmentation(nn.Module):
  """A network with all that the contract allows: batch norm and dropout."""

  num_classes: int = 5

  @nn.compact
  def __call__(self, images, train=False):
    x = basic.conv(8, 3, stride=2, name='encoder')(images / 255)
    x = nn.relu(basic.batch_norm(train, name='norm')(x))
    dropped = nn.Dropout(0.5)(x, deterministic=not train)
    logits = basic.conv(self.num_classes, 1, name='score')(dropped)
    shape = (*images.shape[:3], self.num_classes)
    logits = jax.image.resize(logits, shape, 'nearest')
    return SegmentationOutput(logits=logits, features=x)

  @nn.nowrap
  def check_image_size(self, image_size):
    if image_size[0] % 2:
      raise UserError(f'image_size {image_size} has an odd height.')


class SmallFailure(nn.Module):
  """A network that looks at all it is given."""

  @nn.compact
  def __call__(self, images, seg_logits, seg_features, train=False):
    size = (*images.shape[:3], seg_features.shape[-1])
    features = jax.image.resize(seg_features, size, 'nearest')
    x = jnp.concatenate([images / 255, seg_logits, features], -1)
    x = basic.conv(8, 3, name='encoder')(x)
    x = nn.relu(basic.batch_norm(train, name='norm')(x))
    return basic.conv(1, 1, name='score')(x)[..., 0]


def fsnet():
  """The two joined."""
  return fsnet_module.FSNet(SmallSegmentation(), SmallFailure())


def train_step(network, params, batch_stats, images, key):
  output, seg_stats = network.segment(params, batch_stats, images, True, key)
  logits, stats = network.detect(params, seg_stats, images, output, True)
  return output.logits, logits, seg_stats, stats


class Net(nn.Module):
  """One layer of each rewritten kind, and both pools."""

  @nn.compact
  def __call__(self, x):
    x = nn.relu(basic.conv(136, 3, name='wide')(x))
    x = pooling.max_pool_2x2(x, ceil_mode=True)
    x = nn.relu(basic.conv(8, 5, padding=0, name='large')(x))
    x = pooling.max_pool_3x3(x)
    return basic.conv(5, 1, name='last')(x)
