"""A loop that takes seconds: what its tests have in common.

Who needs no other network than this shares its compiled programs.
"""

from configs import segxal_unet
from segxal_jax.config import validation
from tests.paths import ROOT

CACHE = ROOT / '.pytest_cache' / 'compiled'
FIELDS = {
  'image_size': (32, 64),
  'width': 0.0625,
  'batch_size': 4,
  'data.num_validation': 4,
  'data.num_test': 4,
  'pool.num_initial': 4,
  'pool.num_query': 2,
  'phase1_steps': 4,
  'optimizer.poly_steps': 4,
  'checkpoint_every_steps': 2,
  'log_every_steps': 2,
  'stop.cycles': 1,
  'eval.batch_size': 4,
  'oracle.rest': 'prediction',
  'selection.rule': 'all',
  'compilation_cache_dir': str(CACHE),
  # As a command decides it; here a run may begin without one.
  'failure.blocks': 1,
}
# Of the loop whose unbroken run several tests compare theirs with.
EEM_FIELDS = FIELDS | {
  'data.num_train': 20,
  'eem.weights': 'fitted',
  'data.validation_split': 'day:validation',
}


def config(data, **changes):
  """The config of that loop; `a__b=1` in changes sets config.a.b."""
  made = segxal_unet.get_config('streets')
  fields = EEM_FIELDS | {'data.cache_dir': str(data)}
  fields |= {key.replace('__', '.'): value for key, value in changes.items()}
  made.update_from_flattened_dict(fields)
  validation.check(made)
  return made
