"""What the per-pixel failure network knows about each pixel.

Confidence alone ranks pixels no better than MSP does; what gains, under shift
above all, is the predicted class together with the image that it is predicted
in. So beside five measures of confidence there are the first and the second
class, colour and contrast, the place, and brightness of the whole image.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Integer

from fsnet_jax.models.cpu import conv_forms, sums

# ITU-R BT.601, as `input_pipeline.transforms` weighs colours.
_LUMA = (0.299, 0.587, 0.114)
# Side of the window that local contrast is measured in, pixels.
_WINDOW = 9
# Scalars of each pixel, and those that the second pass of S and its passes with
# dropout add.
NUM_SCALARS, NUM_FLIP, NUM_DROPOUT = 14, 2, 2
# Puts the largest logit below all others.
_FAR = 1e30
# Powers below it are nothing beside 1, and slow: below the normal numbers.
_LEAST = -60.0
# Of the scalars, those of a pixel's own colour and contrast.
COLORS = range(5, 10)


@struct.dataclass
class PixelMaps:
  """Maps of a batch of images, or of some of their pixels.

  Attributes:
    scalars: float32 [*b k], `NUM_SCALARS` of them, `NUM_FLIP` more with the
      flip, `NUM_DROPOUT` more with dropout.
    first: int32 [*b], the predicted class.
    second: int32 [*b], the class with the second largest logit.
    miss_logit: float32 [*b], MSP's log-odds that `first` is wrong
      (`failure_features.miss_logit`).
  """

  scalars: Float[Array, '*b k']
  first: Integer[Array, '*b']
  second: Integer[Array, '*b']
  miss_logit: Float[Array, '*b']

  def at(self, index: Integer[Array, 'b n']) -> 'PixelMaps':
    """The maps of some pixels.

    Args:
      index: of `maps` [b h w ...]: number of each pixel in its image, row by
        row.

    Returns:
      Maps [b n ...].
    """

    def take(leaf: Array) -> Array:
      flat = leaf.reshape(leaf.shape[0], -1, *leaf.shape[3:])
      where = index.reshape(*index.shape, *[1] * (flat.ndim - 2))
      return jnp.take_along_axis(flat, where, axis=1)

    return jax.tree.map(take, self)


def pixel_maps(
  images: Float[Array, 'b h w 3'],
  logits: Float[Array, 'b h w c'],
  flip_logits: Float[Array, 'b h w c'] | None = None,
  stride: int = 1,
  uncertainty: Float[Array, 'b h w 2'] | None = None,
) -> PixelMaps:
  """All maps, from one pass of S, from two, or from many.

  Scalars, in this order: `miss_logit`, entropy (nats), largest logit,
  log-sum-exp, largest less second largest logit; luminance, red less
  luminance, green less blue, Sobel magnitude and deviation of luminance in
  9x9 (all of 0..1, edges repeated); mean and deviation of the image's
  luminance; y / h and |x / w - 1/2| of the pixel's centre. With
  `flip_logits`: Jensen-Shannon divergence (nats) of the two softmaxes, and
  how much less probable the predicted class is in the mirrored image. Last,
  `uncertainty`.

  Args:
    images: RGB, 0..255.
    logits: of S, finite, at least two classes.
    flip_logits: of S for the mirrored images, mirrored back.
    stride: of the pixels that have maps, the first of each row and column
      and every `stride`-th after it. What they see around them and of the
      whole image is at full size.
    uncertainty: of S's passes with dropout (`mc_dropout.uncertainty`).

  Returns:
    Maps [b h w ...], or [b ceil(h / stride) ceil(w / stride) ...]; no gradient
    flows through them.
  """
  images, logits = jax.lax.stop_gradient((images, logits))
  rows, columns = images.shape[1:3]
  logits, axis = _laid_out(logits[:, ::stride, ::stride])
  first = jnp.argmax(logits, axis=axis)
  own = jax.nn.one_hot(first, logits.shape[axis], axis=axis)
  rest = logits - _FAR * own
  second = jnp.argmax(rest, axis=axis)
  confidence = _confidence(logits, rest, axis)
  scalars = [
    *confidence,
    *_appearance(images.astype(jnp.float32) / 255.0, stride),
    *_place(first.shape, (rows, columns), stride),
  ]
  if flip_logits is not None:
    flip_logits = jax.lax.stop_gradient(flip_logits)
    flipped, _ = _laid_out(flip_logits[:, ::stride, ::stride])
    probs, mirrored = (
      jax.nn.softmax(each, axis=axis) for each in (logits, flipped)
    )
    scalars += _disagreement(probs, mirrored, own, axis)
  if uncertainty is not None:
    passes = jax.lax.stop_gradient(uncertainty[:, ::stride, ::stride])
    scalars += [passes[..., number] for number in range(NUM_DROPOUT)]
  return PixelMaps(
    _stacked(scalars),
    first.astype(jnp.int32),
    second.astype(jnp.int32),
    confidence[0],
  )


def _laid_out(logits: Array) -> tuple[Array, int]:
  """Logits as float32, and the axis of their classes."""
  logits = logits.astype(jnp.float32)
  if conv_forms.writing_onnx():
    # S makes planes there, and what follows takes planes.
    return jnp.moveaxis(logits, -1, 1), 1
  return logits, -1


def _stacked(scalars: list[Array]) -> Float[Array, 'b h w k']:
  if conv_forms.writing_onnx():
    # As planes, as the convolutions there want them.
    return jnp.moveaxis(jnp.stack(scalars, axis=1), 1, -1)
  return jnp.stack(scalars, axis=-1)


def _confidence(logits: Array, rest: Array, axis: int) -> list[Array]:
  """All five of one exponential a class: they are most of what maps take.

  Relative to the second largest logit, so that the sum over the other classes
  is never lost, however sure S is.
  """
  largest, next_one = jnp.max(logits, axis=axis), jnp.max(rest, axis=axis)
  below = jnp.maximum(rest - jnp.expand_dims(next_one, axis), _LEAST)
  others = jnp.exp(below)
  total = jnp.sum(others, axis=axis)
  # `miss_logit`.
  own = next_one + jnp.log(total) - largest
  excess = jax.nn.softplus(own)
  lead = largest - next_one
  # H = ln sum exp(l) - sum p l, both less the largest l, which adds nothing
  # to the second sum.
  weighted = sums.of_products(others, below, axis) - lead * total
  entropy = excess - jnp.exp(-lead - excess) * weighted
  return [own, entropy, largest, largest + excess, lead]


def _appearance(images: Array, stride: int) -> list[Array]:
  red, green, blue = (images[..., channel] for channel in range(3))
  # No product of matrices: three channels are too few for one.
  luma = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
  mean = jnp.mean(luma, axis=(1, 2), keepdims=True)
  deviation = jnp.std(luma, axis=(1, 2), keepdims=True)
  own = luma[:, ::stride, ::stride]
  return [
    own,
    red[:, ::stride, ::stride] - own,
    (green - blue)[:, ::stride, ::stride],
    _sobel(luma, stride),
    _local_deviation(luma, stride),
    jnp.broadcast_to(mean, own.shape),
    jnp.broadcast_to(deviation, own.shape),
  ]


def _sobel(luma: Array, stride: int) -> Array:
  """Length of the gradient, a unit step of 1 counting 4."""
  height, width = luma.shape[1:]
  wide = jnp.pad(luma, ((0, 0), (1, 1), (1, 1)), 'edge')

  def moved(row: int, column: int) -> Array:
    part = wide[:, row : row + height, column : column + width]
    return part[:, ::stride, ::stride]

  across = [moved(row, 2) - moved(row, 0) for row in range(3)]
  along = [moved(2, column) - moved(0, column) for column in range(3)]
  x = across[0] + 2 * across[1] + across[2]
  y = along[0] + 2 * along[1] + along[2]
  return jnp.sqrt(x * x + y * y)


def _local_deviation(luma: Array, stride: int) -> Array:
  """Standard deviation in a window around each pixel.

  Along rows, then of the rows' means along columns, each about the pixel in
  the middle: no large squares cancel, so that an even area has 0, and not the
  root of a rounding error, which differs from one compiler to the next.
  """
  means, along = _spread(luma, 1, stride)
  _, across = _spread(means, 2, stride)
  return jnp.sqrt(_mean(_window(along, 2, stride)) + across)


def _spread(values: Array, axis: int, stride: int) -> tuple[Array, Array]:
  """Mean and variance in a window along one axis, every so often."""
  parts = _window(values, axis, stride)
  values = parts[_WINDOW // 2]
  offsets = [part - values for part in parts]
  shift = _mean(offsets)
  square = _mean([offset * offset for offset in offsets])
  return values + shift, jnp.maximum(square - shift * shift, 0.0)


def _window(values: Array, axis: int, stride: int) -> list[Array]:
  """The values of all pixels of a window along an axis, one after another."""
  half, size = _WINDOW // 2, values.shape[axis]
  margin = [(0, 0)] * 3
  margin[axis] = (half, half)
  wide = jnp.pad(values, margin, 'edge')
  return [
    jax.lax.slice_in_dim(wide, k, k + size, stride, axis)
    for k in range(_WINDOW)
  ]


def _mean(parts: list[Array]) -> Array:
  return sum(parts, start=jnp.zeros_like(parts[0])) / len(parts)


def _place(
  shape: tuple[int, ...], size: tuple[int, int], stride: int
) -> list[Array]:
  """Of `shape` pixels, `stride` apart in images of `size`."""
  rows, columns = (
    (stride * jnp.arange(count, dtype=jnp.float32) + 0.5) / whole
    for count, whole in zip(shape[1:], size, strict=True)
  )
  return [
    jnp.broadcast_to(rows[:, None], shape),
    jnp.broadcast_to(jnp.abs(columns - 0.5), shape),
  ]


def _disagreement(
  probs: Array, flipped: Array, own: Array, axis: int
) -> list[Array]:
  """Of the softmax and that of the mirrored image."""
  middle = (probs + flipped) / 2

  def divergence(part: Array) -> Array:
    ratio = jnp.log(jnp.maximum(part, 1e-30) / jnp.maximum(middle, 1e-30))
    return jnp.sum(part * ratio, axis=axis)

  less = jnp.sum(own * (probs - flipped), axis=axis)
  return [(divergence(probs) + divergence(flipped)) / 2, less]
