"""F, the network that predicts where the segmentation is wrong."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from common_lib.errors import UserError
from fsnet_jax.models.cpu import resizing
from fsnet_jax.models.failure import failure_decoders, failure_features, resnet
from fsnet_jax.models.layers import basic, initializers
from fsnet_jax.models.sizes import grid_of

INPUTS = ('x', 'w1', 'w2', 'w3', 'w4', 'seg_features')


class FailureNet(nn.Module):
  """Two ResNet18 encoders and a decoder over S's input, logits and features.

  F_E1 sees the image x and w1(l); F_E2 sees w1 .. w4 of the logits l (table
  I). Their last features and S_E(x), brought to one grid, are z; F_D makes a
  failure logit of each pixel from it. w1 is one 1x1 convolution with bias
  for both encoders. Works at any image size.

  Reference: paper section III-B, figure 2 and table IV.

  Attributes:
    width: multiplier of the channels of encoders and decoder.
    decoder: 'skips' (default), 'literal' (the paper's: z alone) or
      'four_scale'; see `failure_decoders`.
    branches: 'multi', or 'single': one encoder over x and w1 .. w4.
    inputs: those of 'x', 'w1' .. 'w4' and 'seg_features' that F sees. What
      is left out is left out everywhere, with its channels; an encoder
      without inputs is left out too.
    raw_class_index: whether w4 is the bare class index instead of [0, 1].
    blocks: of each stage of the encoders: 2 is the paper's ResNet18, 1 half of
      it.
    msp_residual: whether the decoder's output is a correction, added to the
      softmax's own log-odds of being wrong (no gradient through them), so
      that F begins with the ranking of MSP. Not in the paper.
    remat: whether the encoders' blocks and the decoder's steps are computed
      again in the backward pass.
    dtype: of the computation; parameters and failure logits are float32.
  """

  width: float = 1.0
  decoder: str = 'skips'
  branches: str = 'multi'
  inputs: tuple[str, ...] = INPUTS
  raw_class_index: bool = False
  blocks: int = resnet.STAGE_BLOCKS
  msp_residual: bool = False
  remat: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    images: Float[Array, 'b h w 3'],
    seg_logits: Float[Array, 'b h w c'],
    seg_features: Float[Array, 'b fh fw k'],
    train: bool = False,
  ) -> Float[Array, 'b h w']:
    """Predicts where S is wrong.

    Args:
      images: [b h w 3] RGB, float32, 0..255.
      seg_logits: [b h w c] the segmentation network's logits l.
      seg_features: [b fh fw k] its encoder output S_E(x).
      train: whether batch statistics are of the batch.

    Returns:
      [b h w] float32 failure logits; their sigmoid is the confidence that
      the pixel's class is wrong (1 = wrong).

    Raises:
      UserError: an attribute has a value that does not exist.
    """
    self._check()
    maps = self._maps(images, seg_logits)
    encoded = []
    for name, members in self._branches().items():
      x = jnp.concatenate([maps[member] for member in members], -1)
      encoder = resnet.ResNet18(
        self.width, self.dtype, self.remat, self.blocks, name=name
      )
      encoded.append(encoder(x, train))
    grid = grid_of(seg_features)
    z = [resizing.resize_bilinear(stages[3], grid) for stages in encoded]
    if 'seg_features' in self.inputs:
      z.append(seg_features.astype(self.dtype))
    pixels = jnp.concatenate([maps[name] for name in maps], -1)
    decoder = failure_decoders.DECODERS[self.decoder](
      self.width, self.dtype, self.remat, name='decoder'
    )
    stages = list(zip(*encoded))
    logits = decoder(jnp.concatenate(z, -1), stages, pixels, train)
    logits = basic.at_least_float32(logits[..., 0])
    if self.msp_residual:
      own = failure_features.miss_logit(basic.at_least_float32(seg_logits))
      logits = logits + jax.lax.stop_gradient(own)
    return logits

  def _maps(self, images: Array, seg_logits: Array) -> dict[str, Array]:
    """The chosen inputs at image size, by name, in the order of `INPUTS`."""
    maps = failure_features.softmax_features(seg_logits, self.raw_class_index)
    maps['x'] = basic.imagenet_normalized(images)
    if 'w1' in self.inputs:
      classes = seg_logits.shape[-1]
      maps['w1'] = basic.conv(
        1,
        1,
        kernel_init=initializers.uniform_fan_in(),
        bias_init=initializers.uniform_fan_in(classes),
        dtype=seg_logits.dtype,
        name='w1',
      )(seg_logits)
    return {name: maps[name] for name in INPUTS[:5] if name in self.inputs}

  @nn.nowrap
  def _branches(self) -> dict[str, list[str]]:
    """The inputs of each encoder that has any, by the encoder's name."""
    if self.branches == 'single':
      wanted = {'encoder': INPUTS[:5]}
    else:
      wanted = {'encoder1': ('x', 'w1'), 'encoder2': INPUTS[1:5]}
    chosen = {
      name: [member for member in members if member in self.inputs]
      for name, members in wanted.items()
    }
    return {name: members for name, members in chosen.items() if members}

  @nn.nowrap
  def _check(self) -> None:
    if self.decoder not in failure_decoders.DECODERS:
      raise UserError(
        f'There is no failure decoder {self.decoder!r}; use one of '
        f'{", ".join(failure_decoders.DECODERS)}.'
      )
    if self.branches not in ('multi', 'single'):
      raise UserError(
        f"Failure branches are {self.branches!r}; use 'multi' or 'single'."
      )
    unknown = [name for name in self.inputs if name not in INPUTS]
    if unknown or not set(self.inputs) & set(INPUTS[:5]):
      raise UserError(
        f'Failure inputs are {tuple(self.inputs)}; use any of {INPUTS}, at '
        'least one of them other than seg_features.'
      )
