"""The contract between a segmentation network S and everything around it.

A segmentation network is any Flax linen module that satisfies
`SegmentationNetwork`. Nothing else in this package knows which one it has:
a new network is one file with such a module.

The contract, beyond the signatures below:

* Images are RGB, float32, 0..255, channels last. The network normalises
  them itself, so that callers never need to know its backbone's mean.
* `logits` have the size of the images and are float32 whatever the compute
  type: scores in half precision collapse into ties, which spoils ranking
  metrics.
* `features` are S_E(x), the last layer of the network's encoder, on the
  encoder's own grid `fh fw`, whose cells tile the image (cell `i` covers
  rows `i * h / fh` to `(i + 1) * h / fh`, as nearly as the network allows).
* `dtype` is the compute type. Parameters and running statistics are float32
  whatever it is; `remat` computes blocks again in the backward pass, and
  changes neither values nor names.
* Random behaviour (dropout) happens only if `train` is true and draws from
  the 'dropout' stream. Batch statistics live in the 'batch_stats'
  collection, and are updated only if `train` is true and the collection is
  mutable.
* A network with parameters that never change is `PartlyFrozen`, too;
  `builders.networks.frozen` hands its `is_frozen` to the optimiser.
* A network whose steps are as fast on a CPU when they are compiled in little
  memory (`runtime.machine.memory`) says so by `compiles_frugally = True`.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import flax.struct
from jaxtyping import Array, Float

from fsnet_jax.models.network import Network


@flax.struct.dataclass
class SegmentationOutput:
  """What a segmentation network says about a batch of images.

  Attributes:
    logits: [b h w c] float32, unnormalised class scores of each pixel.
    features: [b fh fw k], the encoder output S_E(x), in the compute type.
  """

  # Not typed as arrays: JAX rebuilds such classes with shapes and sentinels.
  logits: Any
  features: Any


@runtime_checkable
class SegmentationNetwork(Network, Protocol):
  """What a segmentation network must offer; see the module's docstring."""

  num_classes: int

  def __call__(
    self, images: Float[Array, 'b h w 3'], train: bool = False
  ) -> SegmentationOutput:
    """Segments a batch of images.

    Args:
      images: [b h w 3] RGB, float32, 0..255.
      train: whether dropout and batch statistics are in training mode.

    Returns:
      Logits at image size and the encoder output.
    """
    ...

  def check_image_size(self, image_size: tuple[int, int]) -> None:
    """Checks that the network can work at an image size.

    Args:
      image_size: (height, width) in pixels.

    Raises:
      UserError: the size is not usable; the message names usable ones.
    """
    ...


@runtime_checkable
class PartlyFrozen(Protocol):
  """A network with parameters that the optimiser must leave alone."""

  def is_frozen(self, path: Sequence[str]) -> bool:
    """Whether a parameter never changes.

    Args:
      path: names from the root of the parameters to the leaf.
    """
    ...
