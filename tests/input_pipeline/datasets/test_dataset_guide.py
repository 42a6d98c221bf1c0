"""The examples of docs/guide/datasets.md work as printed."""

import pathlib
import re
import sys
import types

import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from input_pipeline import datasets
from tests.paths import ROOT

GUIDE = ROOT / 'docs' / 'guide' / 'datasets.md'


def blocks():
  return re.findall(r'```python\n(.*?)```', GUIDE.read_text(), re.DOTALL)


@pytest.fixture
def mini(tmp_path, monkeypatch):
  module = types.ModuleType('mini_of_the_guide')
  monkeypatch.setitem(sys.modules, module.__name__, module)
  exec(blocks()[-1], module.__dict__)
  monkeypatch.setitem(datasets.DATASETS, 'mini', module.__name__)
  for name in ('a_1', 'b_1'):
    for kind, suffix in (('images', 'jpg'), ('ids', 'png')):
      (tmp_path / f'root/val/{kind}').mkdir(parents=True, exist_ok=True)
      shape = (8, 8, 3) if kind == 'images' else (8, 8)
      Image.fromarray(np.full(shape, 2, np.uint8)).save(
        tmp_path / f'root/val/{kind}/{name}.{suffix}'
      )
  return datasets.DataRequest(
    image_size=(8, 8),
    root=str(tmp_path / 'root'),
    cache_dir=str(tmp_path / 'cache'),
  )


def test_the_example_data_set(mini):
  source = datasets.open_source('mini', mini)
  assert [source[i]['id'] for i in range(len(source))] == ['a_1', 'b_1']
  assert (source[0]['label'] == 13).all()
  assert len(datasets.open_source('mini/b:val', mini)) == 1
  (pathlib.Path(mini.root) / 'val/ids/b_1.png').unlink()
  with pytest.raises(UserError, match=r'val/ids/b_1\.png: file is missing'):
    datasets.open_source('mini', mini)


def test_the_example_of_use(mini, camvid, monkeypatch):
  code = blocks()[0]
  for placeholder, real in (
    ("'/path/to/camvid'", repr(str(camvid.root))),
    ("'data'", repr(str(camvid.cache))),
    ('(256, 512)', '(24, 32)'),
    ('0016E5:train', '0001TP:train'),
    ('batch_size=8', 'batch_size=2'),
  ):
    assert placeholder in code
    code = code.replace(placeholder, real)
  names = {}
  exec(code, names)
  assert names['source'][0].keys() == {'image', 'label', 'id', 'sequence'}
  assert names['batches'].get_state() == {'next_step': 1}


def test_every_data_set_is_in_the_guide():
  text = GUIDE.read_text()
  for name in datasets.DATASETS:
    assert f'`{name}[/' in text
