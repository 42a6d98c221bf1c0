"""Local adversarial attacks: what makes S fail in a part of an image.

Random shapes, as ObsNet's `random_patch`: a union of rectangles, ellipses and
triangles in a window of the image. Inside them each colour of each pixel moves
by one step along the sign of the gradient of S's loss (FGSM).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from fsnet_jax.learned_detectors.base import Variables
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork
from fsnet_jax.steps.losses import segmentation_loss

# Height and width of the window, shares of the image's: ObsNet's 300 x 360
# pixels of 360 x 640.
_WINDOW = (300 / 360, 360 / 640)
# Sides of a shape, shares of the image's height: its 160 to 200 pixels.
_SIDES = (160 / 360, 200 / 360)
# Shapes in a window.
_FEWEST, _MOST = 6, 10
_KINDS = 3


def random_shapes(
  key: Key[Array, ''], count: int, size: tuple[int, int]
) -> Bool[Array, 'b h w']:
  """Where images are attacked.

  Args:
    key: decides all of it.
    count: b, images.
    size: (h, w) in pixels.

  Returns:
    True inside the shapes of each image.
  """
  keys = jax.random.split(key, 5)
  image = jnp.asarray(size, jnp.float32)
  window = image * jnp.asarray(_WINDOW)
  corner = jax.random.uniform(keys[0], (count, 1, 2)) * (image - window)
  low, high = _SIDES
  sides = jax.random.uniform(
    keys[1], (count, _MOST, 2), minval=low, maxval=high
  )
  sides = jnp.minimum(sides * size[0], window)
  place = jax.random.uniform(keys[2], (count, _MOST, 2))
  centre = corner + sides / 2 + place * (window - sides)
  kinds = jax.random.randint(keys[3], (count, _MOST), 0, _KINDS)
  numbers = jax.random.randint(keys[4], (count,), _FEWEST, _MOST + 1)

  def add(number: Array, inside: Array) -> Array:
    covered = _covered(
      centre[:, number], sides[:, number], kinds[:, number], size
    )
    return inside | (covered & (number < numbers)[:, None, None])

  return jax.lax.fori_loop(0, _MOST, add, jnp.zeros((count, *size), bool))


def _covered(
  centre: Float[Array, 'b 2'],
  sides: Float[Array, 'b 2'],
  kinds: Array,
  size: tuple[int, int],
) -> Bool[Array, 'b h w']:
  """The pixels whose centres lie in a shape of each image.

  Args:
    centre: (y, x) in pixels.
    sides: of the box around it, (height, width) in pixels.
    kinds: 0 rectangle, 1 ellipse, 2 triangle with its tip above.
    size: (h, w) of the images.
  """
  rows, columns = (jnp.arange(length) + 0.5 for length in size)
  # -1 to 1 from one side of the box to the other.
  y = (rows[:, None] - centre[:, :1, None]) / sides[:, :1, None] * 2
  x = (columns[None, :] - centre[:, 1:, None]) / sides[:, 1:, None] * 2
  kinds = kinds[:, None, None]
  box = (jnp.abs(y) <= 1) & (jnp.abs(x) <= 1)
  ellipse = y * y + x * x <= 1
  triangle = 2 * jnp.abs(x) <= 1 + y
  return box & jnp.where(kinds == 1, ellipse, (kinds == 0) | triangle)


def attacked(
  network: SegmentationNetwork,
  variables: Variables,
  images: Float[Array, 'b h w 3'],
  inside: Bool[Array, 'b h w'],
  size: float,
) -> Float[Array, 'b h w 3']:
  """Images that S is led away from its own prediction by.

  Args:
    network: the frozen S, one whose gradient JAX finds.
    variables: of S.
    images: RGB, 0..255.
    inside: where they may change.
    size: of the step, for images of 0..1.

  Returns:
    Images of 0..255. A colour inside differs by 255 `size`, or by less at an
    end of the range, or by nothing where S's loss does not depend on it.
  """

  def loss(images: Array) -> Array:
    logits = network.apply(variables, images).logits
    own = jax.lax.stop_gradient(jnp.argmax(logits, axis=-1))
    return segmentation_loss(logits, own, jnp.ones(own.shape, bool))

  step = 255.0 * size * jnp.sign(jax.grad(loss)(images))
  moved = jnp.clip(images + step, 0.0, 255.0)
  return jax.lax.stop_gradient(jnp.where(inside[..., None], moved, images))
