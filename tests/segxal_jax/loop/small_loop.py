"""A loop that takes seconds: what its tests have in common.

Who needs no other network than this shares its compiled programs.
"""

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
}
