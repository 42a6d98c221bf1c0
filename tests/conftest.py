"""Settings shared by every test.

Grain's worker processes and TFDS read absl flags, which pytest never parses.
Compiled programs are kept, so that the workers of one run and the next run
share them.
"""

from pathlib import Path

import jax
from absl import flags

flags.FLAGS.mark_as_parsed()
_CACHE = Path(__file__).parent.parent / '.pytest_cache' / 'compiled'
jax.config.update('jax_compilation_cache_dir', str(_CACHE))
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)
