import pytest

from input_pipeline import notes
from tests.input_pipeline.datasets.folder.own_images import Own


@pytest.fixture
def own(tmp_path):
  notes.once.cache_clear()
  return Own(tmp_path)
