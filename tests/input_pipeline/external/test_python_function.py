"""Functions of the user's: all that they may return, and how they may fail."""

import sys
import textwrap

import jax
import numpy as np
import pytest

from common_lib.errors import UserError
from input_pipeline import external
from tests.input_pipeline.external.tables import noise, table

_START = """
import numpy as np

def logits_of(images):
  values = images.astype(np.float32)
  return np.concatenate([values, values[..., :1] / 2 - 9], -1)
"""


@pytest.fixture
def opened(tmp_path):
  def make(source, name='segment', classes=4, file='mine.py'):
    path = tmp_path / file
    path.write_text(_START + textwrap.dedent(source))
    # Each test's own file of that name.
    for module in [one for one in sys.modules if one.startswith('_external_')]:
      del sys.modules[module]
    return external.open_network(
      'python', f'{path}:{name}', table(classes), image_size=(8, 16)
    )

  yield make
  if str(tmp_path) in sys.path:
    sys.path.remove(str(tmp_path))


def _expected(images):
  values = images.astype(np.float32)
  return np.concatenate([values, values[..., :1] / 2 - 9], -1)


@pytest.mark.parametrize(
  'body',
  [
    'return logits_of(images)',
    'return logits_of(images).transpose(0, 3, 1, 2)',
    'return logits_of(images).astype(np.float64)',
    'import jax; return jax.numpy.asarray(logits_of(images))',
    'images[:] //= 1; return (logits_of(images), None)',
    'import types; return types.SimpleNamespace(logits=logits_of(images))',
  ],
)
def test_logits_in_all_their_forms(opened, body):
  network = opened(f'def segment(images):\n  {body}\n')
  images = noise(2, 8, 16)
  before = images.copy()
  found = network(images)
  np.testing.assert_array_equal(found.logits, _expected(images))
  np.testing.assert_array_equal(images, before)
  assert found.features is None and network.feature_channels == 0
  assert network.feature_size((8, 16)) is None and network.takes_any_image


def test_features(opened):
  network = opened(
    """
    def segment(images):
      logits = logits_of(images)
      return logits, logits[:, ::2, ::2, :3]
    """
  )
  assert network.feature_channels == 3
  assert network.feature_size((16, 32)) == (8, 16)


def test_features_at_a_quarter(opened):
  network = opened(
    """
    def segment(images):
      logits = logits_of(images).transpose(0, 3, 1, 2)
      return [logits, logits[:, :, ::4, ::4]]
    """
  )
  images = noise(2, 16, 32)
  found = network(images)
  np.testing.assert_array_equal(found.features, _expected(images)[:, ::4, ::4])
  assert network.feature_size((16, 32)) == (4, 8)


def test_objects_that_can_be_called_and_bfloat16(opened):
  network = opened(
    """
    import jax.numpy as jnp

    class Model:
      def __call__(self, images):
        return jnp.asarray(logits_of(images), jnp.bfloat16)

    model = Model()
    """,
    'model',
  )
  images = noise(1, 8, 16)
  wanted = jax.numpy.asarray(_expected(images), jax.numpy.bfloat16)
  np.testing.assert_array_equal(network(images).logits, np.float32(wanted))


def test_a_module_by_name(tmp_path, monkeypatch):
  (tmp_path / 'external_by_name.py').write_text(
    _START + 'def segment(images):\n  return logits_of(images)\n'
  )
  monkeypatch.syspath_prepend(tmp_path)
  network = external.open_network(
    'python', 'external_by_name:segment', table(4), image_size=(8, 16)
  )
  images = noise(1, 4, 4)
  np.testing.assert_array_equal(network(images).logits, _expected(images))


def test_a_file_finds_those_beside_it(opened, tmp_path):
  (tmp_path / 'beside_mine.py').write_text('FACTOR = 2\n')
  network = opened(
    """
    def segment(images):
      import beside_mine
      return logits_of(images) * beside_mine.FACTOR
    """
  )
  images = noise(1, 4, 4)
  np.testing.assert_array_equal(network(images).logits, 2 * _expected(images))


@pytest.mark.parametrize(
  ('source', 'message'),
  [
    ('segment = 3', 'which is no function; give one that takes'),
    ('class segment: pass', 'which is no function; give one that takes'),
    ('other = 3', "but there is no 'segment' in"),
    ('raise ValueError("a\\nb")', r'cannot be imported \(ValueError: a ... b,'),
    ('def (', 'cannot be imported .SyntaxError'),
    ('import nowhere_at_all', "'nowhere_at_all'; install nowhere_at_all bes"),
    ('open("/no/such.pt")', 'but /no/such.pt is missing; correct the path'),
    (
      'def segment(images):\n  raise RuntimeError("first\\nmiddle\\nlast")',
      r'fails on images uint8 \[1 8 16 3\] \(RuntimeError: first ... last, ',
    ),
    ('def segment():\n  pass', 'TypeError: segment'),
    ('def segment(images):\n  pass', 'it returns NoneType, which is no array'),
    ('def segment(images):\n  return "a"', 'it returns str, which is no array'),
    ('def segment(images):\n  return 1, 2, 3', 'it returns 3 values; return'),
    (
      'def segment(images):\n  return logits_of(images).argmax(-1)',
      'is a class map or mask.*return the logits before the argmax',
    ),
    (
      'def segment(images):\n  return logits_of(images)[..., :3]',
      'the logits have 3 channels, but the class table has 4 classes',
    ),
    (
      'def segment(images):\n'
      '  return np.pad(logits_of(images), [(0, 0)] * 3 + [(0, 1)])',
      r'return the channels \[0, 1, ..., 3\]',
    ),
    (
      'def segment(images):\n  return logits_of(images), images[..., 0]',
      'the features are uint8',
    ),
  ],
)
def test_one_sentence_for_each_mistake(opened, source, message):
  with pytest.raises(UserError, match=message):
    opened(source)


@pytest.mark.parametrize(
  ('path', 'message'),
  [
    ('nowhere', 'give module:function or path/file.py:function'),
    (':f', 'give module:function or path/file.py:function'),
    ('a:', 'give module:function or path/file.py:function'),
    ('nowhere_at_all:f', "no module 'nowhere_at_all'; give a module beside"),
    ('nowhere_at_all.b:f', "no module 'nowhere_at_all'; give a module beside"),
    ('/nowhere/at/all.py:f', '/nowhere/at/all.py is missing; correct the path'),
  ],
)
def test_names_that_cannot_be_found(path, message):
  with pytest.raises(UserError, match=message):
    external.open_network('python', path, table(4))


def test_features_have_to_stay(opened):
  network = opened(
    """
    kept = [3]
    def segment(images):
      logits = logits_of(images)
      return logits, logits[..., :kept[0]] if kept[0] else None
    """
  )
  kept = network._module.kept
  kept[0] = 2
  with pytest.raises(UserError, match='features of 2 channels, after 3 before'):
    network(noise(1, 8, 16))
  kept[0] = 0
  with pytest.raises(UserError, match='no features, after 3 channels of them'):
    network(noise(1, 8, 16))


def test_interrupts_are_no_mistakes(opened):
  with pytest.raises(KeyboardInterrupt):
    opened('def segment(images):\n  raise KeyboardInterrupt')


def test_the_fingerprint_sees_the_file_and_what_it_depends_on(opened, tmp_path):
  body = 'def segment(images):\n  return logits_of(images)\n'
  first = opened(body).fingerprint()
  assert opened(body).fingerprint() == first and len(first) == 64
  assert opened(body, file='other.py').fingerprint() == first
  assert opened(body + '# changed\n').fingerprint() != first
  assert opened(body, 'logits_of').fingerprint() != first
  body = 'DEPENDS_ON = ["weights.bin"]\n' + body
  (tmp_path / 'weights.bin').write_bytes(b'1')
  second = opened(body).fingerprint()
  (tmp_path / 'weights.bin').write_bytes(b'2')
  assert opened(body).fingerprint() != second
  (tmp_path / 'weights.bin').unlink()
  with pytest.raises(UserError, match='names weights.bin as DEPENDS_ON, which'):
    opened(body).fingerprint()


@pytest.mark.parametrize(
  ('name', 'path', 'message'),
  [
    ('tensorrt', 'a', "name is 'tensorrt'; use one of onnx, logits, python"),
    ('onnx', '', 'path is empty; give the .onnx file'),
    ('logits', '', 'path is empty; give the folder of the logits'),
    ('python', '', 'path is empty; give module:function'),
  ],
)
def test_fields_that_open_nothing(name, path, message):
  with pytest.raises(UserError, match=message):
    external.open_network(name, path, table(4))
