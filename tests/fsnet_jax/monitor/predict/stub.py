"""A monitor whose answers can be told from the image's colours."""

import dataclasses

import numpy as np
from PIL import Image

from common_lib.class_table import ClassTable
from fsnet_jax.monitor import Monitor, calibration_file, statistics
from fsnet_jax.monitor.predict import run

CLASSES = ClassTable(
  names=('road', 'car', 'sky'),
  colors=((128, 64, 128), (0, 0, 142), (70, 130, 180)),
  ids=((0,), (1,), (2,)),
)


@dataclasses.dataclass
class Stub:
  """The class is red modulo 3, P(wrong) is green / 255."""

  threshold: float | None = None
  statement: str = ''
  classes: ClassTable = CLASSES
  reference: dict | None = None
  calls: list = dataclasses.field(default_factory=list)

  def __call__(self, images):
    self.calls.append(images.shape)
    labels = (images[..., 0] % 3).astype(np.uint8)
    return labels, images[..., 1].astype(np.float32) / 255


def picture(rng, height=24, width=40, green=None):
  """Noise; of one green if that is given."""
  image = rng.integers(0, 256, (height, width, 3), np.uint8)
  if green is not None:
    image[..., 1] = green
  return image


def save(path, image):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(image).save(path)
  return path


def folder(root, count=7, seed=0):
  """Images in two folders, of two sizes."""
  rng = np.random.default_rng(seed)
  for index in range(count):
    image = picture(rng, width=40 if index % 3 else 56)
    save(root / ('a' if index % 2 else 'b') / f'{index:02d}.png', image)
  return root


def calibration(threshold=0.7, count=60, seed=1, **reference):
  """As `--mode=calibrate` writes it, of drawn images."""
  rng = np.random.default_rng(seed)
  values = {
    name: tuple(map(float, rng.uniform(0.4, 0.6, count)))
    for name in statistics.NAMES
  }
  return calibration_file.CalibrationFile(
    threshold=threshold,
    detector='fsnet',
    slope=1.0,
    offset=0.0,
    kind='passing',
    limit=0.05,
    confidence=0.95,
    bound='hb',
    units=count,
    unit='image',
    coverage=0.5,
    statement='With 95 % confidence, it is so.',
    grid=(threshold,),
    p_values=(0.01,),
    risks=(0.02,),
    coverages=(0.5,),
    reference=values | reference,
    images=tuple(f'c{i}' for i in range(count)),
    fitted_on=('f0',),
    dataset='streets/day',
    network_sha256='0' * 64,
  )


def options(source, output, **changes):
  """Of a prediction."""
  fields = {
    'source': str(source),
    'output': output,
    'batch_size': 3,
    'segment_share': 0.002,
    'identity': {'networks': 'x'},
  }
  return run.Options(**fields | changes)


def predict(source, output, stub=None, found=None, **changes):
  """Runs a prediction with a stub; returns it."""
  if stub is None:
    stub = Stub()
  if found is not None:
    stub.threshold, stub.statement = found.threshold, found.statement
  run.predict(lambda: Monitor(stub), options(source, output, **changes), found)
  return stub
