"""Sizes of images and feature maps."""

from jaxtyping import Array

from common_lib.errors import UserError


def grid_of(x: Array) -> tuple[int, int]:
  """Rows and columns of a map.

  Args:
    x: [b h w ...].
  """
  rows, columns = x.shape[1:3]
  return rows, columns


def check_multiple(
  network: str, image_size: tuple[int, int], stride: int
) -> None:
  """Checks that a network can halve an image down to its coarsest map.

  Args:
    network: what the message calls it.
    image_size: (height, width) in pixels.
    stride: pixels of the image to a cell of that map, on each side.

  Raises:
    UserError: a size that is no multiple of it; the message has one nearby.
  """
  if not any(n % stride for n in image_size):
    return
  near = tuple(max(stride, stride * round(n / stride)) for n in image_size)
  raise UserError(
    f'{network} cannot use image_size {tuple(image_size)}: height and width '
    f'must be multiples of {stride}, for example {near}.'
  )
