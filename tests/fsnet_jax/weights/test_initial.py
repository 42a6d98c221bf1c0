import functools
import json
from pathlib import Path

import grain
import jax
import numpy as np
import pytest

from common_lib.errors import UserError
from configs import common
from fsnet_jax.builders import networks
from fsnet_jax.builders.initialization import init_options
from fsnet_jax.runtime.checkpointing import Checkpoints
from fsnet_jax.weights import convert, folders, initial, overlay
from tests.fsnet_jax.weights import state_dicts

WIDTH = 0.125


def tiny(**changes):
  config = common.get_config()
  config.width = WIDTH
  config.image_size = (32, 32)
  config.segmentation.padding = 'same'
  config.segmentation.head_width = 16
  for path, value in changes.items():
    *parents, name = path.split('__')
    node = config
    for parent in parents:
      node = node[parent]
    node[name] = value
  return config


def write(folder, arch, arrays, width=WIDTH):
  options = convert.Options(arch, width, blocks=(1, 1, 1, 1))
  tree, _ = convert.convert(arrays, options)
  description = {'arch': arch, 'width': width, 'source': f'{arch}.pth'}
  folders.write(folder, tree, description)
  return str(folder), tree


def load(config):
  """Variables before and after, as flat dicts, and the notes."""
  model = networks.model(config)
  initial.check(init_options(config), model)
  before = initial_values(model)
  *after, notes = initial.load(init_options(config), *before)
  return flat(before), flat(after), notes


@functools.cache
def initial_values(model):
  return model.init(0, (32, 32))


def flat(variables):
  tree = dict(zip(('params', 'batch_stats'), variables))
  return {
    '/'.join(entry.key for entry in path): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def changed(before, after):
  assert before.keys() == after.keys()
  return {
    name
    for name, array in after.items()
    if not np.array_equal(array, before[name])
  }


def under(names, root):
  return {name for name in names if name.startswith(root)}


def refuses(config, *words):
  with pytest.raises(UserError) as caught:
    initial.check(init_options(config), networks.model(config))
  for word in words:
    assert word in str(caught.value)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  folder = tmp_path_factory.mktemp('weights')
  return {
    'vgg16': write(folder / 'vgg16', 'vgg16', state_dicts.vgg16()),
    'fcn8': write(folder / 'fcn8', 'fcn8', state_dicts.vgg16(seed=1)),
    'resnet18': write(folder / 'r18', 'resnet18', state_dicts.resnet18()),
    'resnet101': write(folder / 'r101', 'resnet101', state_dicts.bottlenecks()),
    'wide': write(
      folder / 'wide', 'resnet18', state_dicts.resnet18(base=16), 0.25
    ),
    'classes': write(folder / 'classes', 'fcn8', other_classes()),
  }


def other_classes():
  make = state_dicts.Maker(2)
  for name, array in state_dicts.vgg16().items():
    if name.startswith('features'):
      make.arrays[name.replace('features.', 'vgg.')] = array
  make.conv('vgg_head.0', 64, 16, 7)
  make.conv('vgg_head.3', 16, 16, 1)
  make.conv('vgg_head.6', 16, 21, 1)
  return make.arrays


def test_nothing_named_changes_nothing():
  before, after, notes = load(tiny())
  assert changed(before, after) == set() and notes == []


def test_backbone_is_vgg16_alone(made):
  folder, tree = made['vgg16']
  before, after, notes = load(tiny(init__backbone=folder))
  root = 'params/segmentation/vgg/'
  assert changed(before, after) == under(before, root)
  np.testing.assert_array_equal(
    after[root + 'conv3_2/kernel'], tree['params']['conv3_2']['kernel']
  )
  assert notes == ['segmentation/vgg begins as vgg16 of vgg16.pth.']


def test_input_scale_is_undone_in_the_first_layer(made):
  folder, tree = made['vgg16']
  before = initial_values(networks.model(tiny()))
  config = tiny(init__backbone=folder, segmentation__input_scale=1 / 64)
  *after, _ = initial.load(init_options(config), *before)
  after = flat(after)
  first = after['params/segmentation/vgg/conv1_1/kernel']
  expected = 64 * tree['params']['conv1_1']['kernel']
  np.testing.assert_array_equal(first, expected)
  np.testing.assert_array_equal(
    after['params/segmentation/vgg/conv1_1/bias'],
    tree['params']['conv1_1']['bias'],
  )


def test_segmentation_keeps_what_the_file_lacks(made):
  folder, tree = made['fcn8']
  before, after, _ = load(tiny(init__segmentation=folder))
  heads = under(before, 'params/segmentation/score_')
  expected = under(before, 'params/segmentation/') - heads
  assert changed(before, after) == expected and len(heads) == 6
  np.testing.assert_array_equal(
    after['params/segmentation/fc6/kernel'], tree['params']['fc6']['kernel']
  )


@pytest.mark.slow
def test_deeplab_takes_resnet101(made):
  folder, tree = made['resnet101']
  config = tiny(
    init__backbone=folder,
    segmentation__name='deeplab_v2',
    segmentation__features='layer4',
    segmentation__blocks=(1, 1, 1, 1),
  )
  before, after, _ = load(config)
  roots = [f'{c}/segmentation/backbone/' for c in ('params', 'batch_stats')]
  assert changed(before, after) == set.union(
    *[under(before, root) for root in roots]
  )
  np.testing.assert_array_equal(
    after['batch_stats/segmentation/backbone/layer3_0/bn2/var'],
    tree['batch_stats']['layer3_0']['bn2']['var'],
  )
  refuses(
    tiny(init__backbone=folder), 'init.backbone', 'resnet101', 'needs vgg16'
  )


def encoders(names, encoder):
  return {
    name
    for collection in ('params', 'batch_stats')
    for name in under(names, f'{collection}/failure/{encoder}/')
  }


def test_both_encoders_of_f(made):
  folder, tree = made['resnet18']
  before, after, notes = load(tiny(init__failure_encoder=folder))
  wanted = encoders(before, 'encoder1') | encoders(before, 'encoder2')
  assert changed(before, after) == wanted
  stem = tree['params']['conv1']['kernel']
  for encoder in ('encoder1', 'encoder2'):
    name = f'params/failure/{encoder}/conv1/kernel'
    assert after[name].shape[2] == 4
    # As SynthCP: RGB kernels first, the fourth channel as initialised.
    np.testing.assert_array_equal(after[name][:, :, :3], stem)
    np.testing.assert_array_equal(after[name][:, :, 3], before[name][:, :, 3])
  assert len(notes) == 2


@pytest.mark.parametrize('count', [1, 2, 3, 7])
def test_stems_of_other_widths(made, count):
  folder, tree = made['resnet18']
  stem = tree['params']['conv1']['kernel']
  fresh = np.full((7, 7, count, 8), 9, np.float32)
  # What `load` sees of a failure network with one encoder.
  encoder = {**tree['params'], 'conv1': {'kernel': fresh}}
  params = {'failure': {'encoder': encoder, 'decoder': {}}}
  stats = {'failure': {'encoder': tree['batch_stats']}}
  config = tiny(init__failure_encoder=folder)
  loaded, _, _ = initial.load(init_options(config), params, stats)
  kernel = loaded['failure']['encoder']['conv1']['kernel']
  assert kernel.shape == fresh.shape and (fresh == 9).all()
  if count >= 3:
    np.testing.assert_array_equal(kernel[:, :, :3], stem)
    assert (kernel[:, :, 3:] == 9).all()
  else:
    np.testing.assert_allclose(kernel.sum(2), stem.sum(2), atol=1e-6)
    np.testing.assert_array_equal(kernel[:, :, 0], kernel[:, :, -1])


def test_mistakes_are_found_by_shapes_alone(made, tmp_path):
  vgg, r18 = made['vgg16'][0], made['resnet18'][0]
  refuses(
    tiny(init__backbone=vgg, width=0.25),
    'init.backbone', 'width 0.125', 'config.width is 0.25',
  )  # fmt: skip
  refuses(
    tiny(init__failure_encoder=r18, failure__width=0.25),
    'init.failure_encoder', 'config.failure.width is 0.25',
  )  # fmt: skip
  refuses(tiny(init__failure_encoder=vgg), 'holds vgg16', 'resnet18')
  refuses(
    tiny(init__segmentation=made['fcn8'][0], segmentation__head_width=24),
    'init.segmentation', 'head_width',
  )  # fmt: skip
  refuses(
    tiny(init__segmentation=made['classes'][0]), 'score_fr', '21', 'classes'
  )
  refuses(tiny(init__backbone=vgg, init__segmentation=vgg), 'give one')
  refuses(tiny(init__backbone=str(tmp_path)), 'no converted weights')
  refuses(tiny(init__failure_encoder='/no/such/folder'), '/no/such/folder')
  refuses(tiny(init__backbone='vgg.npz'), 'config.width=1.0')
  refuses(tiny(init__backbone='vgg.npz', width=1.0), 'vgg.npz', 'no file')
  unet = {
    'segmentation__name': 'unet',
    'segmentation__features': 'bottleneck',
  }
  refuses(tiny(init__backbone=vgg, **unet), 'init.backbone', 'unet')
  refuses(tiny(init__segmentation=vgg, **unet), 'init.segmentation', 'unet')


def write_run(workdir, config, step=7):
  """A checkpoint as a run leaves it; returns its variables."""
  params, batch_stats = initial_values(networks.model(config))
  # As the train state, with values that no initialisation has.
  state = {
    'step': np.zeros(2, np.int32),
    'params': jax.tree.map(lambda x: x + 1, params),
    'batch_stats': jax.tree.map(lambda x: x + 1, batch_stats),
  }
  checkpoints = Checkpoints(workdir)
  iterator = iter(grain.MapDataset.range(4).to_iter_dataset())
  checkpoints.save(step, state, iterator, {}, None)
  checkpoints.close()
  (workdir / 'config.json').write_text(json.dumps(config.to_dict()))
  return flat((state['params'], state['batch_stats']))


def test_segmentation_of_an_earlier_run(tmp_path):
  stored = write_run(tmp_path / 'run', tiny())
  for name in ('run', 'run/checkpoints/7'):
    config = tiny(init__segmentation=str(tmp_path / name), batch_size=2)
    before, after, notes = load(config)
    wanted = under(before, 'params/segmentation/')
    assert changed(before, after) == wanted
    for leaf in wanted:
      np.testing.assert_array_equal(after[leaf], stored[leaf])
    assert 'ended in' in notes[0]

  run = str(tmp_path / 'run')
  refuses(
    tiny(init__segmentation=run, width=0.25),
    run, 'trained with width 0.125', 'config.width is 0.25',
  )  # fmt: skip
  refuses(
    tiny(init__segmentation=run, segmentation__input_scale=0.5),
    'segmentation.input_scale',
  )
  refuses(tiny(init__segmentation=run + '/checkpoints/8'), 'no checkpoint')
  (tmp_path / 'run' / 'config.json').write_text('{')
  refuses(tiny(init__segmentation=run), 'config.json', 'cannot be read')
  for broken in ('[1]', '{"segmentation": 3, "width": 1}', '[' * 100_000):
    (tmp_path / 'run' / 'config.json').write_text(broken)
    refuses(tiny(init__segmentation=run), 'config.json', 'cannot be read')
  (tmp_path / 'begun').mkdir()
  (tmp_path / 'begun' / 'config.json').write_text('{}')
  refuses(tiny(init__segmentation=str(tmp_path / 'begun')), 'no checkpoint')


def test_statistics_of_an_earlier_run_come_along(tmp_path):
  settings = {
    'segmentation__name': 'deeplab_v2',
    'segmentation__features': 'layer4',
    'segmentation__blocks': (1, 1, 1, 1),
  }
  config = tiny(**settings)
  stored = write_run(tmp_path / 'run', config)
  config = tiny(init__segmentation=str(tmp_path / 'run'), **settings)
  _, after, _ = load(config)
  for name in under(after, 'batch_stats/segmentation/'):
    np.testing.assert_array_equal(after[name], stored[name])


def deeplab(blocks, **changes):
  return tiny(
    segmentation__name='deeplab_v2',
    segmentation__features='layer4',
    segmentation__blocks=blocks,
    **changes,
  )


def test_half_of_a_network_is_refused(made):
  folder, _ = made['resnet101']
  refuses(
    deeplab((1, 2, 1, 1), init__backbone=folder),
    'init.backbone', 'lacks 15 arrays', 'layer2_1', 'config.segmentation',
  )  # fmt: skip


@pytest.mark.slow
def test_half_of_an_earlier_run_is_refused(tmp_path):
  write_run(tmp_path / 'run', deeplab((1, 2, 1, 1)))
  ours = deeplab((1, 1, 1, 1), init__segmentation=str(tmp_path / 'run'))
  refuses(ours, 'blocks', '[1, 2, 1, 1]')
  # A config that was changed by hand hides it from the first look.
  config = json.loads((tmp_path / 'run' / 'config.json').read_text())
  config['segmentation']['blocks'] = [1, 1, 1, 1]
  (tmp_path / 'run' / 'config.json').write_text(json.dumps(config))
  model = networks.model(ours)
  initial.check(init_options(ours), model)
  with pytest.raises(UserError, match='layer2_1.*the network has not'):
    initial.load(init_options(ours), *initial_values(model))


@pytest.mark.parametrize(
  ('path', 'shape'),
  [
    ('conv1/kernel', (7,)),
    ('conv1/kernel', (7, 7, 2, 8)),
    ('conv1/kernel', (3, 3, 3, 8)),
    ('conv1', (8,)),
    ('conv1/kernel/x/y', (8,)),
    ('other/kernel', (8,)),
    ('bn1/bias', (9,)),
  ],
)
def test_arrays_without_a_place_are_refused(path, shape):
  network = {
    'conv1': {'kernel': np.zeros((7, 7, 4, 8))}, 'bn1': {'bias': np.zeros(8)}
  }  # fmt: skip
  variables = {'params': {'failure': {'encoder': network}}}
  names = ('params', *path.split('/'))
  stored = convert.nested({names: np.zeros(shape)})
  source = overlay.Source(
    'failure_encoder', Path('W'), 'resnet18', ('width', 1), 'failure'
  )
  part = '/'.join(names[:2])
  with pytest.raises(UserError, match=f'init.failure_encoder=W.*{part}'):
    overlay.overlay(variables, stored, source, ('failure', 'encoder'))


def test_steps_are_plain_numbers(tmp_path):
  for name in ('²', '-1', '1' * 30, '7x'):
    path = tmp_path / 'run' / 'checkpoints' / name
    path.mkdir(parents=True)
    refuses(tiny(init__segmentation=str(path)), name)
