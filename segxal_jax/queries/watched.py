"""The images that the report follows through all cycles."""

from common_lib import random_streams
from segxal_jax.pool.ledger import Ledger

#: Of their maps, in the folder of a cycle.
FOLDER = 'watched'


def watched(
  seed: int, count: int, ledger: Ledger, pool_images: int
) -> list[int]:
  """Indices of the images, fixed by the seed.

  They are never in the seed set, so the first cycle is not trained on them.

  Args:
    seed: of the run.
    count: how many.
    ledger: with the selection of the seed set.
    pool_images: how many images the pool has.
  """
  rng = random_streams.generator(seed, 'watched')
  known = ledger.labelled(1)
  order = [int(i) for i in rng.permutation(pool_images) if int(i) not in known]
  return order[:count]
