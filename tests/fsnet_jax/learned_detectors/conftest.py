"""One frozen S for the fits of a module.

Not of the session: the networks are small ones while it lasts, for whatever
else the process tests then.
"""

import pytest

from tests.fsnet_jax.learned_detectors import small_fit


@pytest.fixture(scope='module')
def frozen_config(tmp_path_factory):
  """Config over an untrained S; copy it before changing it."""
  base = tmp_path_factory.mktemp('frozen')
  with pytest.MonkeyPatch.context() as patch:
    small_fit.replace_networks(patch)
    yield small_fit.finished_run(base / 's', base / 'data')
