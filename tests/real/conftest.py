"""Where the real data sets are: one environment variable each."""

import os
import pathlib

import pytest


@pytest.fixture(scope='session')
def camvid_root():
  """Folder of CamVid in the layout of the SegNet tutorial."""
  folder = os.environ.get('CAMVID_ROOT')
  if not folder:
    pytest.skip('CAMVID_ROOT is not set: no real CamVid images to read')
  if not (pathlib.Path(folder) / 'train').is_dir():
    pytest.fail(f'CAMVID_ROOT is {folder}, which has no folder train/')
  return folder
