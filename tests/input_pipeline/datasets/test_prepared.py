"""Preparation: once, whole, by content, in the scenes' order."""

import contextlib
import errno
import fcntl
import os
import pathlib
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import numpy as np
import pytest
from tensorflow_datasets.core import shuffle

from common_lib import interrupts
from common_lib.errors import UserError
from input_pipeline import loader
from input_pipeline.datasets import base, open_source, prepared, readers
from tests.paths import ROOT


class Drawn(base.SceneBuilder):
  """Scenes whose pixels are a function of `origin`."""

  loaded: list[str] = []

  def load(self, scene):
    self.loaded.append(scene.id)
    rng = np.random.default_rng(scene.origin)
    height, width = self.request.image_size
    arrays = {
      'image': rng.integers(0, 256, (height, width, 3), np.uint8),
      'label': rng.integers(0, 19, (height, width), np.uint8),
    }
    if self.request.depth:
      arrays['depth'] = rng.random((height, width), np.float32)
      arrays['depth'][0, 0] = np.nan
    return arrays


@pytest.fixture(autouse=True)
def no_loads():
  Drawn.loaded.clear()


def scenes(count, seed=0):
  return [base.Scene(f'{i:03d}', f's{i % 3}', [seed, i]) for i in range(count)]


def request(tmp_path, **changes):
  settings = {'image_size': (6, 10), 'cache_dir': str(tmp_path / 'cache')}
  return base.DataRequest(**{**settings, **changes})


def open_drawn(tmp_path, groups, **changes):
  wanted = request(tmp_path, **changes)
  return base.open_prepared(Drawn.create('x', groups, wanted))


def test_arrays_and_order_are_kept(tmp_path):
  groups = {'a': scenes(13), 'b': scenes(7, seed=1)}
  source = open_drawn(tmp_path, groups, depth=True)
  assert len(source) == 20
  builder = Drawn.create('x', groups, request(tmp_path, depth=True))
  for i, scene in enumerate(groups['a'] + groups['b']):
    assert source[i]['id'] == scene.id
    assert source[i]['sequence'] == scene.sequence
    for key, array in builder.load(scene).items():
      assert source[i][key].dtype == array.dtype
      np.testing.assert_array_equal(source[i][key], array)


def test_order_is_kept_where_data_exceed_the_memory_buffer(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(shuffle, 'MAX_MEM_BUFFER_SIZE', 500)
  added = set()
  add = shuffle._Bucket.add

  def spy(bucket, key, data):
    added.add(bucket._path)
    add(bucket, key, data)

  monkeypatch.setattr(shuffle._Bucket, 'add', spy)
  source = open_drawn(tmp_path, {'a': scenes(40)})
  assert [source[i]['id'] for i in range(40)] == [s.id for s in scenes(40)]
  # One bucket is read into memory at a time: the scenes are spread over them.
  assert len(added) == 40


def test_a_subset_of_splits_in_the_order_asked_for(tmp_path):
  builder = Drawn.create(
    'x', {'a': scenes(2), 'b': scenes(3, seed=1)}, request(tmp_path)
  )
  source = base.open_prepared(builder, ('b', 'a'))
  assert [source[i]['id'] for i in range(5)] == ['000', '001', '002'] + [
    '000',
    '001',
  ]
  assert len(base.open_prepared(builder, ('a',))) == 2


def test_second_opening_loads_nothing(tmp_path):
  first = open_drawn(tmp_path, {'a': scenes(5)})
  assert len(Drawn.loaded) == 5
  second = open_drawn(tmp_path, {'a': scenes(5)})
  assert len(Drawn.loaded) == 5
  np.testing.assert_array_equal(first[4]['image'], second[4]['image'])


def test_nothing_is_left_beside_the_cache(tmp_path, monkeypatch):
  temporary = tmp_path / 'temporary'
  temporary.mkdir()
  monkeypatch.setattr(tempfile, 'tempdir', str(temporary))
  open_drawn(tmp_path, {'a': scenes(2)})
  assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
  'changes',
  [
    {'image_size': (10, 6)},
    {'depth': True},
    {'on_error': 'skip'},
  ],
)
def test_another_request_has_another_copy(tmp_path, changes):
  open_drawn(tmp_path, {'a': scenes(3)})
  Drawn.loaded.clear()
  source = open_drawn(tmp_path, {'a': scenes(3)}, **changes)
  assert len(Drawn.loaded) == 3
  wanted = request(tmp_path, **changes)
  assert source[0]['label'].shape == wanted.image_size
  assert ('depth' in source[0]) == wanted.depth


def test_other_scenes_have_another_copy(tmp_path):
  open_drawn(tmp_path, {'a': scenes(3)})
  for groups in (
    {'a': scenes(2)},
    {'a': scenes(3, seed=1)},
    {'b': scenes(3)},
    {'a': scenes(3)[::-1]},
  ):
    Drawn.loaded.clear()
    open_drawn(tmp_path, groups)
    assert sorted(Drawn.loaded) == sorted(
      s.id for s in next(iter(groups.values()))
    )


def test_a_new_version_of_the_builder_has_another_copy(tmp_path, monkeypatch):
  open_drawn(tmp_path, {'a': scenes(3)})
  version = type(Drawn.VERSION)('1.0.1')
  monkeypatch.setattr(Drawn, 'VERSION', version)
  open_drawn(tmp_path, {'a': scenes(3)})
  assert len(Drawn.loaded) == 6


def test_a_changed_file_is_read_again_and_a_moved_root_is_not(
  camvid, monkeypatch
):
  calls = []
  read = readers.read_scene

  def spy(image_path, *rest):
    calls.append(image_path.name)
    return read(image_path, *rest)

  monkeypatch.setattr(readers, 'read_scene', spy)
  open_source('camvid:val', camvid.request())
  assert len(calls) == 2

  moved = camvid.root.with_name('moved')
  camvid.root.rename(moved)
  open_source('camvid:val', camvid.request(root=str(moved)))
  assert len(calls) == 2

  camvid.root = moved
  label = np.full((24, 32), 3, np.uint8)  # road everywhere
  camvid.save('valannot/0016E5_07959.png', label)
  source = open_source('camvid:val', camvid.request())
  assert len(calls) == 4
  assert (source[0]['label'] == 0).all()

  # Another time of change alone is no change.
  path = camvid.root / 'val/0016E5_07959.jpg'
  os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
  open_source('camvid:val', camvid.request())
  assert len(calls) == 4


def test_a_label_replaced_by_one_of_the_same_size_and_time(camvid):
  def blank(train_id):
    path = camvid.save(
      'valannot/0016E5_07959.png',
      np.full((24, 32), train_id, np.uint8),
      compress_level=0,
    )
    os.utime(path, ns=(10**18, 10**18))
    return path.stat()

  road = blank(3)
  before = open_source('camvid:val', camvid.request())
  sky = blank(0)
  assert (road.st_size, road.st_mtime_ns) == (sky.st_size, sky.st_mtime_ns)
  after = open_source('camvid:val', camvid.request())
  assert (before[0]['label'] == 0).all()
  assert (after[0]['label'] == 10).all()
  # And back: nothing is prepared anew.
  blank(3)
  assert open_source('camvid:val', camvid.request()).folders == before.folders


def test_a_copied_root_keeps_the_copy(camvid):
  first = open_source('camvid:train', camvid.request())
  other = camvid.root.with_name('elsewhere')
  shutil.copytree(camvid.root, other)
  second = open_source('camvid:train', camvid.request(root=str(other)))
  assert second.folders == first.folders


def test_source_pickles_small_and_reads_the_same(tmp_path):
  source = open_drawn(tmp_path, {'a': scenes(4), 'b': scenes(4, seed=1)})
  data = pickle.dumps(source)
  assert len(data) < 1000
  copy = pickle.loads(data)
  for i in range(8):
    np.testing.assert_array_equal(copy[i]['image'], source[i]['image'])


def test_copies_outlive_a_change_of_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  wanted = request(tmp_path, cache_dir='relative')
  source = base.open_prepared(Drawn.create('x', {'a': scenes(2)}, wanted))
  monkeypatch.chdir('/')
  assert pickle.loads(pickle.dumps(source))[1]['id'] == '001'


def test_scene_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
  def fail(self, scene):
    if scene.id == '002':
      raise UserError('scene.png: broken')
    return Drawn.load(self, scene)

  class Failing(Drawn):
    load = fail

  builder = Failing.create('x', {'a': scenes(4)}, request(tmp_path))
  with pytest.raises(UserError, match=r'scene\.png: broken.*on_error=skip'):
    base.open_prepared(builder)
  files = [p.name for p in (tmp_path / 'cache').rglob('*') if p.is_file()]
  assert files == ['lock']


def test_bugs_are_not_taken_for_damaged_files(tmp_path):
  class Buggy(Drawn):
    def load(self, scene):
      raise KeyError('typo')

  builder = Buggy.create(
    'x', {'a': scenes(2)}, request(tmp_path, on_error='skip')
  )
  with pytest.raises(KeyError, match='typo'):
    base.open_prepared(builder)


def test_cache_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match=r'file/below.*data\.cache_dir'):
    open_drawn(
      tmp_path, {'a': scenes(1)}, cache_dir=str(tmp_path / 'file' / 'below')
    )


def test_full_disk_is_named(tmp_path, monkeypatch):
  def full(*args, **kwargs):
    raise OSError(28, os.strerror(28))

  monkeypatch.setattr(pathlib.Path, 'write_text', full)
  with pytest.raises(UserError, match=r'No space left.*data\.cache_dir'):
    open_drawn(tmp_path, {'a': scenes(2)})


def test_a_disk_that_fills_up_while_records_are_written(tmp_path):
  # What ArrayRecord's writer raises.
  class Full(Drawn):
    def load(self, scene):
      raise RuntimeError(
        'Failed to finalize writing of split "a": write() failed: No space'
        ' left on device; writing /x; at byte 1044480'
      )

  builder = Full.create('x', {'a': scenes(2)}, request(tmp_path))
  with pytest.raises(
    UserError, match=r'No space left on device\); set data\.cache_dir'
  ):
    base.open_prepared(builder)
  files = [p.name for p in (tmp_path / 'cache').rglob('*') if p.is_file()]
  assert files == ['lock']


def test_a_disk_that_is_full_at_the_end_leaves_no_copy(tmp_path, monkeypatch):
  def full(folder):
    raise OSError(28, os.strerror(28))

  with monkeypatch.context() as patch:
    patch.setattr(prepared.checksums, 'write', full)
    with pytest.raises(UserError, match='No space left'):
      open_drawn(tmp_path, {'a': scenes(2)})
  files = [p.name for p in (tmp_path / 'cache').rglob('*') if p.is_file()]
  assert files == ['lock']
  assert len(open_drawn(tmp_path, {'a': scenes(2)})) == 2


def test_other_runtime_errors_are_bugs(tmp_path):
  class Buggy(Drawn):
    def load(self, scene):
      raise RuntimeError('no such thing')

  builder = Buggy.create('x', {'a': scenes(2)}, request(tmp_path))
  with pytest.raises(RuntimeError, match='no such thing'):
    base.open_prepared(builder)


def _garbage(path):
  path.write_bytes(b'\xff{' * 30)


def _half(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _more(path):
  path.write_text(path.read_text().replace('"5"', '"6"'))


DAMAGES = {
  'info garbage': ('dataset_info.json', _garbage),
  'info gone': ('dataset_info.json', pathlib.Path.unlink),
  'one scene too many': ('dataset_info.json', _more),
  'features garbage': ('features.json', _garbage),
  'features gone': ('features.json', pathlib.Path.unlink),
  'shard cut': ('drawn-a.array_record-00000-of-00001', _half),
  'shard emptied': (
    'drawn-a.array_record-00000-of-00001',
    lambda path: path.write_bytes(b''),
  ),
  'shard garbage': ('drawn-a.array_record-00000-of-00001', _garbage),
  'shard gone': ('drawn-a.array_record-00000-of-00001', pathlib.Path.unlink),
  'skipped garbage': ('skipped.json', _garbage),
  'checksums garbage': ('checksums.json', _garbage),
  'checksums gone': ('checksums.json', pathlib.Path.unlink),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_copy_is_to_be_deleted(tmp_path, damage):
  folder = open_drawn(tmp_path, {'a': scenes(5)}).folders[0]
  name, change = DAMAGES[damage]
  content = (pathlib.Path(folder) / name).read_bytes()
  change(pathlib.Path(folder) / name)
  with contextlib.suppress(FileNotFoundError):
    assert (pathlib.Path(folder) / name).read_bytes() != content
  # Also where a loader's worker opens it.
  for attempt in (
    lambda: open_drawn(tmp_path, {'a': scenes(5)}),
    lambda: prepared.PreparedSource(((folder, ('a',)),)),
  ):
    with pytest.raises(UserError) as error:
      attempt()
    assert f'delete {folder}, it is made again' in str(error.value)
  shutil.rmtree(folder)
  assert len(open_drawn(tmp_path, {'a': scenes(5)})) == 5


def test_bytes_that_change_between_samples_are_noticed_when_read(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(prepared.checksums, '_WHOLE_BYTES', 5000)
  monkeypatch.setattr(prepared.checksums, '_END_BYTES', 64)
  monkeypatch.setattr(prepared.checksums, '_SAMPLE_BYTES', 1)
  folder = open_drawn(tmp_path, {'a': scenes(5)}).folders[0]
  (path,) = pathlib.Path(folder).glob('*record-*')
  content = bytearray(path.read_bytes())
  content[400] ^= 4
  path.write_bytes(content)
  source = open_drawn(tmp_path, {'a': scenes(5)})
  batches = loader.eval_loader(source, batch_size=5)
  with pytest.raises(UserError, match=r'damaged \(scene \d: ') as error:
    next(batches)
  batches.close()
  assert f'delete {folder}, it is made again' in str(error.value)


def test_a_copy_deleted_during_a_run_is_a_sentence(tmp_path):
  source = open_drawn(tmp_path, {'a': scenes(5)})
  shutil.rmtree(source.folders[0])
  copy = pickle.dumps(source)
  with pytest.raises(UserError, match='it is made again'):
    pickle.loads(copy)


def test_drawn_scenes_have_their_size_already(tmp_path):
  source = open_drawn(tmp_path, {'a': scenes(2)})
  again = open_drawn(tmp_path, {'a': scenes(2)}, resize='letterbox')
  assert again.folders == source.folders


def test_a_data_set_that_cannot_be_letterboxed_says_so(tmp_path):
  (tmp_path / 'file').write_text('')
  scene = base.Scene('0', 's', [0], ('file',))
  builder = Drawn.create(
    'x',
    {'a': [scene]},
    request(tmp_path, root=str(tmp_path), resize='letterbox'),
  )
  with pytest.raises(UserError, match=r'drawn cannot.*readers\.load_scene'):
    base.open_prepared(builder)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'image_size': (0, 5)}, 'image_size'),
    ({'resize': 'crop'}, r"eval\.resize is 'crop'"),
    ({'on_error': 'ignore'}, r"data\.on_error is 'ignore'"),
    ({'num_examples': {'train': 0}}, r"data\.num_examples of 'train' is 0"),
  ],
)
def test_requests_are_checked(changes, message):
  with pytest.raises(UserError, match=message):
    base.DataRequest(**{'image_size': (4, 4), **changes})


def _script(camvid, body):
  """A process that opens camvid:train after `body` has run."""
  code = f"""
    import sys, time
    from absl import flags
    flags.FLAGS.mark_as_parsed()
    from input_pipeline.datasets import DataRequest, open_source, readers
    read = readers.read_scene
    {body}
    readers.read_scene = changed
    source = open_source('camvid:train', DataRequest(
      image_size=(24, 32), root={str(camvid.root)!r},
      cache_dir={str(camvid.cache)!r}))
    print('opened', len(source))
  """
  return subprocess.Popen(
    [sys.executable, '-c', textwrap.dedent(code)],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _leftovers(folder):
  return [p for p in folder.cache.rglob('incomplete*') if p.is_dir()]


def test_killed_preparation_is_cleaned_and_repeated(camvid):
  # The first two sequences are on disk while the last frame is being read.
  last = np.zeros((24, 32, 3), np.uint8)
  camvid.save('train/0016E5_00420.png', last)
  camvid.save('trainannot/0016E5_00420.png', last[..., 0])
  with _script(
    camvid,
    "exec('''def changed(path, *rest):\\n"
    "  if path.stem == '0016E5_00420': time.sleep(100)\\n"
    "  return read(path, *rest)''')",
  ) as process:
    deadline = time.monotonic() + 60
    while not list(camvid.cache.rglob('*0006R0*')):
      assert process.poll() is None, process.communicate()
      assert time.monotonic() < deadline, process.kill()
      time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
  assert _leftovers(camvid)
  source = open_source('camvid:train', camvid.request())
  assert len(source) == 5
  assert source[4]['id'] == '0016E5_00420'
  assert not _leftovers(camvid)


def test_two_processes_at_once_prepare_once(camvid):
  body = (
    "exec('''def changed(path, *rest):\\n"
    "  print('read', path.name)\\n"
    '  time.sleep(0.5)\\n'
    "  return read(path, *rest)''')"
  )
  processes = [_script(camvid, body) for _ in range(2)]
  outputs = [process.communicate(timeout=120) for process in processes]
  assert [process.returncode for process in processes] == [0, 0], outputs
  lines = [line for out, _ in outputs for line in out.splitlines()]
  assert lines.count('opened 4') == 2
  assert sum(line.startswith('read') for line in lines) == 4
  assert not _leftovers(camvid)
  shutil.rmtree(camvid.root / 'train')  # the copy has all that it needs
  parts = ((str(next(camvid.cache.rglob('1.0.0'))), ('seq_0006R0',)),)
  assert prepared.PreparedSource(parts)[0]['id'] == '0006R0_f00930'


@pytest.fixture
def no_locks(monkeypatch):
  def fail(*_):
    raise OSError(errno.EOPNOTSUPP, 'Operation not supported')

  monkeypatch.setattr(fcntl, 'flock', fail)


def test_without_locks_nothing_of_others_is_removed(tmp_path, no_locks, capsys):
  wanted = Drawn.create('x', {'a': scenes(3)}, request(tmp_path))
  home = pathlib.Path(wanted.data_dir).parent
  theirs = home / 'incomplete.ABC_1.0.0'
  theirs.mkdir(parents=True)
  assert len(base.open_prepared(wanted)) == 3
  assert 'no file locks (Operation not supported)' in capsys.readouterr().err
  assert theirs.exists()


def test_without_locks_the_first_copy_stays(tmp_path, no_locks, monkeypatch):
  other = request(tmp_path, cache_dir=str(tmp_path / 'other'))
  theirs = Drawn.create('x', {'a': scenes(3)}, other)
  base.open_prepared(theirs)
  mine = Drawn.create('x', {'a': scenes(3)}, request(tmp_path))
  load = Drawn.load

  def slow(self, scene):
    if not pathlib.Path(mine.data_dir).exists():
      shutil.copytree(theirs.data_dir, mine.data_dir)
    return load(self, scene)

  monkeypatch.setattr(Drawn, 'load', slow)
  assert len(base.open_prepared(mine)) == 3
  left = sorted(p.name for p in pathlib.Path(mine.data_dir).parent.iterdir())
  assert left == ['1.0.0', 'lock']


def test_a_signal_stops_it_and_leaves_nothing(tmp_path, monkeypatch):
  load = Drawn.load

  def interrupted(self, scene):
    if scene.id == '005':
      os.kill(os.getpid(), signal.SIGTERM)
    return load(self, scene)

  monkeypatch.setattr(Drawn, 'load', interrupted)
  mine = Drawn.create('x', {'a': scenes(200)}, request(tmp_path))
  with pytest.raises(interrupts.Interrupted, match='SIGTERM while preparing'):
    base.open_prepared(mine)
  assert len(Drawn.loaded) < 100
  home = pathlib.Path(mine.data_dir).parent
  assert [p.name for p in home.iterdir()] == ['lock']
  monkeypatch.setattr(Drawn, 'load', load)
  assert len(base.open_prepared(mine)) == 200


def test_a_signal_ends_the_wait_for_another_process(tmp_path, monkeypatch):
  mine = Drawn.create('x', {'a': scenes(3)}, request(tmp_path))
  home = pathlib.Path(mine.data_dir).parent
  home.mkdir(parents=True)
  monkeypatch.setattr(
    prepared.time,
    'sleep',
    lambda secs: os.kill(os.getpid(), signal.SIGINT),
  )
  with (
    (home / 'lock').open('w') as file,
    interrupts.Section(),
    pytest.raises(interrupts.Interrupted, match='SIGINT while preparing data'),
  ):
    fcntl.flock(file, fcntl.LOCK_EX)
    base.open_prepared(mine)
