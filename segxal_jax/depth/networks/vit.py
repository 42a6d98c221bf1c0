"""Vision transformers read at several depths: ViT and DINOv2.

References: Dosovitskiy et al., An Image is Worth 16x16 Words, 2021; Oquab et
al., DINOv2, 2024.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.layers import basic, initializers
from segxal_jax.depth.networks import resampling

# How position embeddings reach another grid: the rule, and the offset that
# DINOv2's own code adds to the new size. On the grid that they were trained
# for they are taken as they are.
POSITIONS = {
  'bilinear': ('bilinear', 0.0),
  'bicubic': ('bicubic', 0.0),
  'bicubic_offset': ('bicubic', 0.1),
}


class Tap(NamedTuple):
  """What a network reads after one block.

  Attributes:
    grid: [b h w k] features of the patches.
    token: [b k] the class token; None after a convolutional stage.
  """

  grid: Array
  token: Array | None


class ViT(nn.Module):
  """A transformer over the patches of an image.

  Attributes:
    width: channels of the tokens.
    depth: number of blocks.
    heads: of the attention.
    taps: blocks to read, counted from 0, ascending.
    patch: rows and columns of a patch, in pixels.
    grid: rows and columns of the grid of the position embeddings.
    positions: one of `POSITIONS`.
    scaled: whether each branch has a learnt scale (LayerScale).
    gated: whether the feed-forward part is SwiGLU (DINOv2-giant).
    norm_taps: whether the final norm is applied to what is read.
    eps: of the layer norms.
    dtype: of the computation; norms and softmax are float32 or wider.
  """

  width: int
  depth: int
  heads: int
  taps: tuple[int, ...]
  patch: int = 14
  grid: int = 37
  positions: str = 'bicubic'
  scaled: bool = True
  gated: bool = False
  norm_taps: bool = False
  eps: float = 1e-6
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w k']) -> list[Tap]:
    """Reads the tokens of the selected blocks.

    Args:
      x: [b h w k] images, normalised, or features (with `patch` 1); h and w
        are multiples of `patch`.

    Returns:
      A tap for each entry of `taps`.
    """
    embed = basic.conv(
      self.width,
      self.patch,
      stride=self.patch,
      padding=0,
      kernel_init=initializers.he_fan_in(),
      dtype=self.dtype,
      name='patch_embed',
    )
    x = embed(x.astype(self.dtype))
    b, h, w, k = x.shape
    x = self._with_positions(x)
    norm = layer_norm('norm', self.eps) if self.norm_taps else None
    taps = []
    for index in range(max(self.taps) + 1):
      x = self._block(index)(x)
      if index in self.taps:
        y = x if norm is None else norm(x).astype(self.dtype)
        taps.append(Tap(y[:, 1:].reshape(b, h, w, k), y[:, 0]))
    return taps

  def _block(self, index: int) -> 'Block':
    return Block(
      self.heads,
      self.scaled,
      self.gated,
      self.eps,
      self.dtype,
      name=f'blocks_{index}',
    )

  def _with_positions(self, x: Array) -> Array:
    """[b 1+h*w k] tokens: the class token, then the patches by rows."""
    b, h, w, k = x.shape
    small = initializers.Initializer('normal', lambda shape: 0.02)
    token = self.param('cls_token', small, (1, 1, k))
    count = self.grid * self.grid
    positions = self.param('pos_embed', small, (1, count + 1, k))
    first, rest = positions[:, :1], positions[:, 1:]
    if (h, w) != (self.grid, self.grid):
      rule, offset = POSITIONS[self.positions]
      rest = rest.reshape(1, self.grid, self.grid, k)
      rest = resampling.resize(rest, (h, w), rule, offset)
      rest = rest.reshape(1, h * w, k)
    x = x.reshape(b, h * w, k) + rest.astype(self.dtype)
    token = jnp.broadcast_to((token + first).astype(self.dtype), (b, 1, k))
    return jnp.concatenate([token, x], axis=1)


class Block(nn.Module):
  """Attention and a feed-forward part, each after a norm, each residual.

  Attributes:
    heads: of the attention.
    scaled: whether each branch has a learnt scale.
    gated: whether the feed-forward part is SwiGLU.
    eps: of the layer norms.
    dtype: of the computation.
  """

  heads: int
  scaled: bool
  gated: bool
  eps: float
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b t k']) -> Float[Array, 'b t k']:
    """Applies the block to [b t k] tokens."""
    y = layer_norm('norm1', self.eps)(x).astype(self.dtype)
    y = Attention(self.heads, self.dtype, name='attn')(y)
    x = x + self._scale('ls1', y)
    y = layer_norm('norm2', self.eps)(x).astype(self.dtype)
    y = FeedForward(self.gated, self.dtype, name='mlp')(y)
    return x + self._scale('ls2', y)

  def _scale(self, name: str, x: Array) -> Array:
    if not self.scaled:
      return x
    scale = self.param(name, initializers.ones, (x.shape[-1],))
    return x * scale.astype(self.dtype)


class Attention(nn.Module):
  """Self-attention over all tokens.

  Attributes:
    heads: number of heads; it divides the channels.
    dtype: of the computation; the softmax is float32 or wider.
  """

  heads: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b t k']) -> Float[Array, 'b t k']:
    """Applies the layer to [b t k] tokens."""
    b, t, k = x.shape
    x = dense(3 * k, self.dtype, 'qkv')(x)
    x = x.reshape(b, t, 3, self.heads, k // self.heads)
    # Heads before tokens, as plain matrix products: twice as fast on a CPU
    # as jax.nn.dot_product_attention, which keeps them after.
    query, key, value = (x[:, :, i].swapaxes(1, 2) for i in range(3))
    scores = jnp.matmul(
      query * (k // self.heads) ** -0.5,
      key.swapaxes(2, 3),
      preferred_element_type=jnp.promote_types(x.dtype, jnp.float32),
    )
    shares = nn.softmax(scores).astype(self.dtype)
    x = jnp.matmul(shares, value).swapaxes(1, 2)
    return dense(k, self.dtype, 'proj')(x.reshape(b, t, k))


class FeedForward(nn.Module):
  """Two layers with GELU, or SwiGLU of two thirds of their width.

  Attributes:
    gated: whether it is SwiGLU.
    dtype: of the computation.
  """

  gated: bool
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b t k']) -> Float[Array, 'b t k']:
    """Applies the layers to [b t k] tokens."""
    k = x.shape[-1]
    if not self.gated:
      x = nn.gelu(dense(4 * k, self.dtype, 'fc1')(x), approximate=False)
      return dense(k, self.dtype, 'fc2')(x)
    hidden = (4 * k * 2 // 3 + 7) // 8 * 8
    x = dense(2 * hidden, self.dtype, 'w12')(x)
    gate, value = jnp.split(x, 2, axis=-1)
    return dense(k, self.dtype, 'w3')(nn.silu(gate) * value)


def dense(features: int, dtype: Any, name: str) -> nn.Dense:
  """A linear layer with a bias.

  Args:
    features: output channels.
    dtype: of the computation.
    name: of the parameters.

  Returns:
    The layer.
  """
  return nn.Dense(
    features,
    dtype=dtype,
    kernel_init=initializers.he_fan_in(),
    bias_init=initializers.zeros,
    name=name,
  )


def layer_norm(name: str, eps: float) -> nn.LayerNorm:
  """A layer norm in float32 or wider, its variance in two passes.

  Args:
    name: of the parameters.
    eps: added to the variance.

  Returns:
    The layer.
  """
  return nn.LayerNorm(
    epsilon=eps,
    use_fast_variance=False,
    scale_init=initializers.ones,
    bias_init=initializers.zeros,
    name=name,
  )
