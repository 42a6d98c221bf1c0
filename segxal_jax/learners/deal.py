"""DEAL: a branch that learns where S errs (Xie et al., ACCV 2020).

The branch applies an attention between pixels of like probabilities to S's
class probabilities, and gives each pixel a difficulty. It stands in
the place of FSNet's F, whose contract it meets, so that any S trains with it
by the usual joint step: L = L_CE + L_dif from the first step on, L_dif
training S too.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from common_lib.errors import UserError
from fsnet_jax.models.cpu import resizing
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.layers import basic, initializers
from fsnet_jax.models.sizes import grid_of
from fsnet_jax.steps.train_step import LossOptions
from segxal_jax.learners.base import Plain


def probability_attention(
  probs: Float[Array, 'b h w c'], gamma: Float[Array, '1'] | float
) -> Float[Array, 'b h w c']:
  """gamma (A P) + P with A = softmax_j(P_i . P_j) over all cells j.

  Args:
    probs: class probabilities P of each cell.
    gamma: share of the attended part; 0 changes nothing.
  """
  cells = probs.reshape(probs.shape[0], -1, probs.shape[-1])
  weights = jax.nn.softmax(jnp.einsum('bic,bjc->bij', cells, cells), axis=-1)
  mixed = jnp.einsum('bij,bjc->bic', weights, cells)
  return gamma * mixed.reshape(probs.shape) + probs


class DifficultyBranch(nn.Module):
  """Probability attention and a 1x1 convolution, in the place of F.

  Attributes:
    stride: pixels of an image to a cell of the attention, whose matrix has
      (cells)^2 entries an image: 8 is the authors' (86 x 86 cells of 688).
  """

  stride: int = 8

  @nn.compact
  def __call__(
    self,
    images: Float[Array, 'b h w 3'],
    seg_logits: Float[Array, 'b h w c'],
    features: Any,
    train: bool = False,
  ) -> Float[Array, 'b h w']:
    """Logits of the difficulty, higher = S errs here; see `FSNet.detect`."""
    del images, features, train
    rows, columns = size = grid_of(seg_logits)
    grid = (max(1, rows // self.stride), max(1, columns // self.stride))
    probs = jax.nn.softmax(basic.at_least_float32(seg_logits))
    coarse = resizing.resize_align_corners(probs, grid)
    gamma = self.param('gamma', initializers.zeros, (1,))
    attended = probability_attention(coarse, gamma)
    score = basic.conv(
      1, 1, kernel_init=initializers.uniform_fan_in(), name='difficulty'
    )(attended)
    return resizing.resize_align_corners(score, size)[..., 0]


class Deal(Plain):
  """S and the difficulty branch, jointly from the first step."""

  name = 'deal'

  def check(self) -> None:
    """See `Learner`."""
    if self._options.trains_failure:
      raise UserError(
        f'config.acquisition.strategy={self._options.strategy} '
        "trains its own branch in the place of FSNet's F: set "
        'config.phase2_steps=0.'
      )

  def model(self) -> FSNet:
    """See `Learner`."""
    return FSNet(
      segmentation=self._options.networks().segmentation,
      failure=DifficultyBranch(self._options.deal_stride),
    )

  def optimizer(self) -> optax.GradientTransformationExtraArgs:
    """See `Learner`.

    The branch has Adam at S's own rate: the authors' rate of ten times the
    backbone's is that of all heads, S's among them.
    """
    return self._options.one_rate_optimizer()

  def joint_start(self) -> int:
    """See `Learner`."""
    return 0

  def phase(self, step: int) -> int:
    """See `Learner`."""
    del step
    return 2

  def loss_options(self) -> LossOptions:
    """See `Plain`."""
    return LossOptions(form=self._options.deal_loss)
