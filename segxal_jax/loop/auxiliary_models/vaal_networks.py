"""VAAL's networks: an autoencoder of images and a judge of its codes."""

import flax.linen as nn
from jaxtyping import Array, Float

from fsnet_jax.models.layers import basic, initializers, transposed

_CHANNELS = (128, 256, 512, 1024)
_HIDDEN = 512
# Of the encoder's convolutions together.
STRIDE = 2 ** len(_CHANNELS)


class Encoder(nn.Module):
  """Image to the mean and the logarithm of the variance of its code.

  Attributes:
    latent: dimensions of the code.
    width: multiplier of the channels.
  """

  latent: int
  width: float = 1.0

  @nn.compact
  def __call__(
    self, images: Float[Array, 'b s s 3'], train: bool = False
  ) -> tuple[Float[Array, 'b z'], Float[Array, 'b z']]:
    """Encodes.

    Args:
      images: RGB, 0..1; the side is a multiple of 16.
      train: whether batch statistics are of the batch.
    """
    x = images
    for number, channels in enumerate(_CHANNELS):
      x = basic.conv(
        basic.scaled(channels, self.width),
        4,
        stride=2,
        padding=1,
        use_bias=False,
        name=f'conv{number}',
      )(x)
      x = nn.relu(basic.batch_norm(train, name=f'norm{number}')(x))
    flat = x.reshape(x.shape[0], -1)
    return _dense(self.latent, 'mean')(flat), _dense(
      self.latent, 'log_variance'
    )(flat)


class Decoder(nn.Module):
  """Code to image; 3x3 transposed convolutions where the authors' are 4x4.

  Attributes:
    side: of the image, a multiple of 16.
    width: multiplier of the channels.
  """

  side: int
  width: float = 1.0

  @nn.compact
  def __call__(
    self, code: Float[Array, 'b z'], train: bool = False
  ) -> Float[Array, 'b s s 3']:
    """Decodes; RGB, about 0..1."""
    widths = [basic.scaled(channels, self.width) for channels in _CHANNELS]
    cells = self.side // STRIDE
    x = _dense(cells * cells * widths[-1], 'cells')(code)
    x = x.reshape(-1, cells, cells, widths[-1])
    for number, channels in enumerate([*widths[-2::-1], widths[0]]):
      x = transposed.UpConv(channels, name=f'up{number}')(x)
      x = nn.relu(basic.batch_norm(train, name=f'norm{number}')(x))
    return basic.conv(3, 3, name='image')(x)


class Judge(nn.Module):
  """Code to the logit of being of a labelled image."""

  @nn.compact
  def __call__(self, code: Float[Array, 'b z']) -> Float[Array, ' b']:
    """Judges."""
    x = nn.relu(_dense(_HIDDEN, 'hidden1')(code))
    x = nn.relu(_dense(_HIDDEN, 'hidden2')(x))
    return _dense(1, 'labelled')(x)[:, 0]


def _dense(features: int, name: str) -> nn.Dense:
  return nn.Dense(
    features,
    kernel_init=initializers.he_fan_in(),
    bias_init=initializers.zeros,
    name=name,
  )
