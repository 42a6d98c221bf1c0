"""Which network of a family a file holds, told by its names alone."""

import re
from collections.abc import Iterable

_BASIC: dict[tuple[int, ...], str] = {
  (2, 2, 2, 2): 'ResNet18',
  (3, 4, 6, 3): 'ResNet34',
}
_BOTTLENECK: dict[tuple[int, ...], str] = {
  (3, 4, 6, 3): 'ResNet50',
  (3, 4, 23, 3): 'ResNet101',
  (3, 8, 36, 3): 'ResNet152',
}
# By the number of blocks, without and with squeeze-and-excite. Widths, which
# names do not tell, are what tells some of them apart.
_EFFICIENTNET_LITE = {
  16: 'EfficientNet-Lite0',
  21: 'EfficientNet-Lite1 or Lite2',
  24: 'EfficientNet-Lite3',
  30: 'EfficientNet-Lite4',
}
_EFFICIENTNET = {
  16: 'EfficientNet-B0',
  23: 'EfficientNet-B1 or B2',
  26: 'EfficientNet-B3',
  32: 'EfficientNet-B4',
  39: 'EfficientNet-B5',
  45: 'EfficientNet-B6',
  55: 'EfficientNet-B7',
}
_VGG = {8: 'VGG11', 10: 'VGG13', 13: 'VGG16', 16: 'VGG19'}

_RESNET_BLOCK = re.compile(r'(?:^|\.)layer([1-9])\.(\d{1,4})\.conv1\.weight$')
_RESNET_THIRD = re.compile(r'(?:^|\.)layer1\.0\.conv3\.weight$')
_EFFICIENTNET_BLOCK = re.compile(
  r'(?:^|\.)_blocks\.(\d{1,4})\._(depthwise_conv|se_reduce)\.weight$'
)
# A convolution has a bias, as has a norm: they are told apart by the norm's
# mean.
_VGG_LAYER = re.compile(r'(?:^|\.)(?:features|vgg)\.(\d{1,4})\.(\w+)$')
_VGG_KERAS = re.compile(r'block\d\|layers\|conv2d(?:_\d)?\|vars\|0$')
_BLOCK = re.compile(r'.*?\.\d+(?=\.)')
# By the number of blocks.
_TRANSFORMERS = {12: 'small or base', 24: 'large', 40: 'giant'}
_NUMBER = re.compile(r'\d+')


def resembles(names: Iterable[str]) -> str:
  """What a file's network is, as far as its names tell.

  Args:
    names: of its arrays, in the naming of torchvision, of Keras's HED, of
      EfficientNet-PyTorch or of one derived from them, with anything before.

  Returns:
    Such as 'ResNet34', 'VGG19 with batch norm' or 'a ResNet of 2, 2, 3, 2
    blocks'; '' where they tell nothing.
  """
  names = list(names)
  return _resnet(names) or _vgg(names) or _efficientnet(names)


def _resnet(names: list[str]) -> str:
  blocks: dict[int, set[str]] = {}
  for name in names:
    if found := _RESNET_BLOCK.search(name):
      blocks.setdefault(int(found[1]), set()).add(found[2])
  if not blocks:
    return ''
  depths = tuple(len(blocks[stage]) for stage in sorted(blocks))
  bottleneck = any(_RESNET_THIRD.search(name) for name in names)
  known = (_BOTTLENECK if bottleneck else _BASIC).get(depths)
  return known or f'a ResNet of {", ".join(map(str, depths))} blocks'


def _vgg(names: list[str]) -> str:
  layers: dict[str, set[str]] = {}
  for name in names:
    if found := _VGG_LAYER.search(name):
      layers.setdefault(found[1], set()).add(found[2])
  norms = [leaves for leaves in layers.values() if 'running_mean' in leaves]
  convolutions = len(layers) - len(norms)
  convolutions = convolutions or sum(
    bool(_VGG_KERAS.search(name)) for name in names
  )
  if not convolutions:
    return ''
  title = _VGG.get(convolutions, f'a VGG of {convolutions} convolutions')
  return f'{title} with batch norm' if norms else title


def _efficientnet(names: list[str]) -> str:
  blocks: dict[str, set[str]] = {}
  for name in names:
    if found := _EFFICIENTNET_BLOCK.search(name):
      blocks.setdefault(found[2], set()).add(found[1])
  count = len(blocks.get('depthwise_conv', ()))
  if not count:
    return ''
  known = _EFFICIENTNET if 'se_reduce' in blocks else _EFFICIENTNET_LITE
  return known.get(count, f'an EfficientNet of {count} blocks')


def beyond(left: Iterable[str], used: Iterable[str]) -> list[str]:
  """Modules of a file that a network's own body lacks.

  Args:
    left: names that no layer wanted, without those of heads and counters.
    used: names that the network's body did want.

  Returns:
    Modules, such as 'layer1.2' or 'features.34', that are within a part of
    the network or numbered on from one: without them it would compute
    something else than the file's.
  """
  used = list(used)
  parts = {_part(name) for name in used}
  patterns = {_pattern(name) for name in used}
  blocks = {_block(name) for name in used}
  found = [
    # Of a block that the network has, what that block has besides.
    name.rpartition('.')[0] if _block(name) in blocks else _block(name)
    for name in left
    if _part(name) in parts or _pattern(name) in patterns
  ]
  return sorted(set(found), key=_by_number)


def _by_number(name: str) -> list[tuple[str, int]]:
  """So that 'features.3' comes before 'features.11'."""
  found = re.findall(r'(\D*)(\d*)', name)
  return [(text, int(number or 0)) for text, number in found]


def _part(name: str) -> str:
  """The first component: 'layer1' of 'layer1.2.conv1.weight'."""
  return re.split(r'[.|]', name, maxsplit=1)[0]


def _pattern(name: str) -> str:
  return _NUMBER.sub('#', name)


def _block(name: str) -> str:
  """As far as a block's number: 'layer1.2' of 'layer1.2.conv1.weight'."""
  found = _BLOCK.match(name) or re.match(r'.*(?=\|vars\|)', name)
  return found[0] if found else name.rpartition('.')[0] or name


def other_depth(found: Iterable[str], wanted: Iterable[str]) -> str:
  """How many blocks a file has where a network has another number of them.

  Args:
    found: names of the file.
    wanted: names of the network, in the same naming.

  Returns:
    Such as 'it has 24 pretrained.blocks (as a large transformer has) where
    this network has 12'; '' where all numbers are equal.
  """
  theirs, ours = _counts(found), _counts(wanted)
  for stem in ours:
    count = theirs.get(stem, ours[stem])
    if count != ours[stem]:
      size = _TRANSFORMERS.get(count, '')
      like = f' (as a {size} transformer has)' if size else ''
      return f'it has {count} {stem}{like} where this network has {ours[stem]}'
  return ''


def _counts(names: Iterable[str]) -> dict[str, int]:
  """Of each numbered list of modules, how many there are."""
  blocks = {found[0] for name in names if (found := _BLOCK.match(name))}
  counts: dict[str, int] = {}
  for block in sorted(blocks):
    stem = block.rpartition('.')[0]
    counts[stem] = counts.get(stem, 0) + 1
  return counts
