"""A loop with people that takes seconds: fields of configs/segxal_manual.py.

The networks' programs are those of tests/segxal/test_loop.py, so that they
are compiled once for both.
"""

from tests.label_studio.server import ROOT

SIZE = (32, 64)
CACHE = ROOT / '.pytest_cache' / 'compiled'
FIELDS = {
  'image_size': SIZE,
  'width': 0.0625,
  'batch_size': 4,
  'data.num_train': 12,
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
  'report.num_watched': 0,
  'compilation_cache_dir': str(CACHE),
}
