"""A damaged entry of the compilation cache is replaced, not kept for ever."""

import warnings
import zlib

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache as jax_cache

from fsnet_jax.runtime import compilation_cache


@pytest.fixture
def folder(tmp_path):
  """JAX's cache in a folder of the test's own."""
  names = (
    'jax_compilation_cache_dir',
    'jax_persistent_cache_min_compile_time_secs',
  )
  before = {name: getattr(jax.config, name) for name in names}
  jax.config.update(names[0], str(tmp_path))
  jax.config.update(names[1], 0.0)
  jax_cache.reset_cache()
  with warnings.catch_warnings():
    compilation_cache.replace_damaged_entries(tmp_path)
    yield tmp_path
  for name, value in before.items():
    jax.config.update(name, value)
  jax_cache.reset_cache()


def _entry_of_a_new_program(folder):
  jax.clear_caches()

  @jax.jit
  def doubled(x):
    return x * 2

  assert doubled(3) == 6
  (entry,) = folder.glob('jit_doubled-*-cache')
  return entry


@pytest.mark.slow
@pytest.mark.parametrize(
  'damage',
  [
    lambda whole: b'',
    lambda whole: whole[:100],
    lambda whole: whole[:50] + bytes([whole[50] ^ 1]) + whole[51:],
    lambda whole: b'garbage',
    lambda whole: zlib.compress(b'no program'),
  ],
  ids=['empty', 'cut', 'bit', 'garbage', 'no program'],
)
def test_a_damaged_entry_is_made_again(folder, damage, capsys):
  entry = _entry_of_a_new_program(folder)
  whole = entry.read_bytes()
  entry.write_bytes(damage(whole))
  again = _entry_of_a_new_program(folder)
  assert again == entry
  # Not the same bytes: it holds how long compiling took.
  assert b'jit_doubled' in zlib.decompress(again.read_bytes())
  said = capsys.readouterr().err
  assert said.count('\n') == 1 and 'jit_doubled in the compilation' in said
  _entry_of_a_new_program(folder)
  assert capsys.readouterr().err == ''


def test_intact_entries_of_the_same_program_stay(folder):
  entry = _entry_of_a_new_program(folder)
  whole = entry.read_bytes()
  other = folder / 'jit_doubled-00ff-cache'
  other.write_bytes(whole)
  longer = folder / 'jit_doubled-more-00ff-cache'
  longer.write_bytes(b'')
  entry.write_bytes(b'')
  jax.clear_caches()
  assert jax.jit(lambda x: x)(1) == 1  # Another program is left alone.
  assert entry.read_bytes() == b''
  compilation_cache._remove(folder, 'jit_doubled')
  assert not entry.exists()
  assert other.read_bytes() == whole and longer.exists()


def test_a_cache_that_cannot_be_written_is_said_once(folder, capsys):
  message = (
    "Error writing persistent compilation cache entry for 'jit_f': OSError: "
    'No space left on device'
  )
  for number in range(3):
    warnings.warn(f'{message} {number}', stacklevel=1)
  said = capsys.readouterr().err
  assert said.count('\n') == 1 and 'No space left' in said


def test_other_warnings_are_shown(folder, monkeypatch):
  shown = []
  with warnings.catch_warnings():
    warnings.simplefilter('always')
    warnings.showwarning = lambda message, *_: shown.append(str(message))
    compilation_cache.replace_damaged_entries(folder)
    warnings.warn('something else', stacklevel=1)
  assert shown == ['something else']
