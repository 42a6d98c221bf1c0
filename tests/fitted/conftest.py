"""One frozen S for all fits."""

import pytest

from tests.fitted import small_fit


@pytest.fixture(scope='session')
def frozen_config(tmp_path_factory):
  """Config over an untrained S; copy it before changing it."""
  base = tmp_path_factory.mktemp('frozen')
  with pytest.MonkeyPatch.context() as patch:
    small_fit.replace_networks(patch)
    yield small_fit.finished_run(base / 's', base / 'data')
