import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.models.segmentation import vgg
from fsnet_jax.weights import vgg_hed


def network_params(width=1):
  """A tree with the shapes of FCN8, its values all zero."""
  channels, tree = 3, {}
  for stage, (base, depth) in enumerate(vgg.STAGES, 1):
    outputs = int(base * width)
    for index in range(1, depth + 1):
      tree[f'conv{stage}_{index}'] = {
        'kernel': np.zeros((3, 3, channels, outputs), np.float32),
        'bias': np.zeros(outputs, np.float32),
      }
      channels = outputs
  return {'vgg': tree, 'fc6': {'bias': np.full(3, 7, np.float32)}}


@pytest.fixture(scope='module')
def arrays():
  """Random arrays in the archive's layout, built without our own names."""
  rng = np.random.default_rng(0)
  layers = {
    'block1': [(3, 64), (64, 64)],
    'block2': [(64, 128), (128, 128)],
    'block3': [(128, 256), (256, 256), (256, 256)],
    'block4': [(256, 512), (512, 512), (512, 512)],
    'block5': [(512, 512), (512, 512), (512, 512)],
  }
  values = {}
  for block, shapes in layers.items():
    for index, (inputs, outputs) in enumerate(shapes):
      name = block + '|layers|conv2d' + (f'_{index}' if index else '')
      kernel = rng.random((3, 3, inputs, outputs), np.float32)
      values[name + '|vars|0'] = kernel
      values[name + '|vars|1'] = rng.random(outputs, np.float32)
  values['dsn1|vars|0'] = np.ones((1, 1, 64, 1), np.float32)
  values['fuse|vars|1'] = np.ones(1, np.float32)
  return values


def save(path, arrays, **changes):
  """Writes an archive; a change of None leaves an array out."""
  merged = {**arrays, **changes}
  np.savez(path, **{k: v for k, v in merged.items() if v is not None})
  return path


def test_every_array_lands_in_its_layer(tmp_path, arrays):
  params = network_params()
  path = save(tmp_path / 'vgg.npz', arrays)
  loaded, report = vgg_hed.load_vgg16_npz(path, params)
  np.testing.assert_array_equal(
    loaded['vgg']['conv1_1']['kernel'],
    arrays['block1|layers|conv2d|vars|0'][:, :, [2, 1, 0]],
  )
  for layer, name in (
    ('conv1_2', 'block1|layers|conv2d_1'),
    ('conv3_1', 'block3|layers|conv2d'),
    ('conv4_3', 'block4|layers|conv2d_2'),
    ('conv5_2', 'block5|layers|conv2d_1'),
  ):
    for leaf, position in (('kernel', 0), ('bias', 1)):
      np.testing.assert_array_equal(
        loaded['vgg'][layer][leaf], arrays[f'{name}|vars|{position}']
      )
  assert set(loaded['vgg']) == set(params['vgg'])
  # Every other layer is the same object; the argument is untouched.
  assert loaded['fc6'] is params['fc6']
  assert not np.any(params['vgg']['conv1_1']['kernel'])
  assert '26 arrays (14,714,688 values)' in report
  assert 'left 2 side outputs' in report


NAME = 'block5|layers|conv2d_2|vars|1'


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({NAME: None}, f'1 arrays are missing.*{NAME[:8]}'),
    ({'block6|vars|0': np.ones(1)}, '1 are unknown.*block6'),
    (
      {f'block{i}|layers|conv2d_3|vars|0': np.ones(1) for i in (3, 4, 5)},
      '3 are unknown.*block3.*looks like VGG19',
    ),
    ({NAME: np.ones(511, np.float32)}, r'shape \(511,\).*\(512,\)'),
    ({NAME: np.full(512, np.nan, np.float32)}, 'not finite'),
    ({NAME: np.ones(512, np.int32)}, 'floating'),
    ({NAME: np.array([object()] * 512)}, 'plain arrays'),
  ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, arrays, changes, message):
  path = save(tmp_path / 'wrong.npz', arrays, **changes)
  with pytest.raises(UserError, match=message) as caught:
    vgg_hed.load_vgg16_npz(path, network_params())
  assert 'wrong.npz' in str(caught.value)


def test_files_that_are_no_archive(tmp_path):
  missing = tmp_path / 'missing.npz'
  text = tmp_path / 'text.npz'
  text.write_text('not an archive')
  empty = tmp_path / 'empty.npz'
  empty.touch()
  single = tmp_path / 'single.npy'
  np.save(single, np.ones(3))
  for path in (missing, text, empty, single):
    with pytest.raises(UserError, match=path.name):
      vgg_hed.load_vgg16_npz(path, network_params())


def test_a_cut_off_file(tmp_path, arrays):
  path = save(tmp_path / 'whole.npz', arrays)
  cut = tmp_path / 'cut.npz'
  cut.write_bytes(path.read_bytes()[:1_000_000])
  with pytest.raises(UserError, match='cut.npz'):
    vgg_hed.load_vgg16_npz(cut, network_params())


def test_a_narrow_network_is_refused(tmp_path, arrays):
  path = save(tmp_path / 'vgg.npz', arrays)
  with pytest.raises(UserError, match='set width to 1'):
    vgg_hed.load_vgg16_npz(path, network_params(0.25))
