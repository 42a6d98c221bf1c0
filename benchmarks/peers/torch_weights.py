"""Our parameter trees as PyTorch state dicts of `torch_models`."""

import re

import jax
import numpy as np
import torch

_RENAMES = (
  (r'^backbone\.', ''),
  (r'^classifier\.', 'aspp.conv3.'),
  (r'^layer5_(\d)\.', r'layer5.conv2d_list.\1.'),
  (r'layer(\d)_(\d+)\.', r'layer\1.\2.'),
  (r'downsample_conv\.', 'downsample.0.'),
  (r'downsample_bn\.', 'downsample.1.'),
  (r'^decoder\.', ''),
)
_LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}


def to_torch(*trees):
  """Trees of one network (parameters, statistics or gradients) as one dict.

  Args:
    *trees: nested dicts of arrays, as Flax names them.

  Returns:
    Name to tensor, as `torch_models` names them: kernels height, width, in,
    out become out, in, height, width.
  """
  named = {}
  for tree in trees:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
      names = [entry.key for entry in path]
      value = np.asarray(leaf)
      if names[-1] == 'kernel':
        value = value.transpose(3, 2, 0, 1)
      named[_rename(names)] = torch.tensor(np.ascontiguousarray(value))
  return _join_scores(named)


def load(model, *trees):
  """Copies trees into a model; every parameter of it must be given."""
  missing, unexpected = model.load_state_dict(to_torch(*trees), strict=False)
  missing = [
    name
    for name in missing
    if name not in ('up2', 'up8') and not name.endswith('num_batches_tracked')
  ]
  if missing or unexpected:
    raise ValueError(f'Missing {missing}, unexpected {unexpected}.')
  return model


def layer_name(names):
  """The name in PyTorch of the layer at a path of ours."""
  return _rename([*names, 'kernel']).removesuffix('.weight')


def _rename(names):
  if names[0] == 'vgg':
    layer = re.fullmatch(r'conv(\d)_(\d)', names[1])
    assert layer is not None  # VGG has no others.
    stage, index = layer.groups()
    leaf = _LEAVES[names[2]]
    return f'stages.{int(stage) - 1}.{2 * (int(index) - 1)}.{leaf}'
  name = '.'.join([*names[:-1], _LEAVES[names[-1]]])
  for pattern, replacement in _RENAMES:
    name = re.sub(pattern, replacement, name)
  return name


def _join_scores(named):
  """The four partial score layers of the four-scale head as its one layer."""
  parts = [named.pop(f'score{i}.weight', None) for i in (1, 2, 3, 4)]
  if parts[0] is not None:
    named['score.weight'] = torch.cat(parts, 1)
    named['score.bias'] = named.pop('bias')
  return named
