"""What training programs put before the names of a network's arrays.

`nn.DataParallel` adds `module.`, `torch.compile` `_orig_mod.`, PyTorch
Lightning the attribute that holds the network, and each does so at any depth.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from common_lib.errors import UserError
from common_lib.foreign import quoted

# Modules that wrap another one and add nothing of their own.
_WRAPPERS = (
  'module',
  '_orig_mod',
  '_forward_module',
  '_fsdp_wrapped_module',
  '_checkpoint_wrapped_module',
)
_SEPARATORS = './|'
_SHOWN = 3
_MAX_CANDIDATES = 1000


def without_wrappers(arrays: Mapping[str, Any]) -> dict[str, Any]:
  """Arrays without the names of wrapping modules, wherever they stand.

  Args:
    arrays: by name. Unchanged if two of them would have the same name then.
  """
  short = {
    '.'.join(p for p in name.split('.') if p not in _WRAPPERS): value
    for name, value in arrays.items()
  }
  return short if len(short) == len(arrays) else dict(arrays)


def candidates(names: Iterable[str], anchor: str) -> list[str]:
  """What may stand before a network's names, '' included.

  Args:
    names: of a file.
    anchor: a name that the network is sure to have.

  Returns:
    Whatever stands before the anchor in one of the names, and ends where a
    component of a name does; the shortest first.
  """
  found = {name.removesuffix(anchor) for name in names if name.endswith(anchor)}
  ends = {prefix for prefix in found if not prefix or prefix[-1] in _SEPARATORS}
  ranked = sorted(ends, key=lambda prefix: (len(prefix), prefix))
  return ranked[:_MAX_CANDIDATES]


def best(
  names: Collection[str], prefixes: Iterable[str], wanted: Collection[str],
  file: str,
) -> tuple[str, int]:  # fmt: skip
  """The prefix under which most of a network is found.

  Args:
    names: of the file.
    prefixes: from which to choose, at least one.
    wanted: names of the network.
    file: what messages call the file.

  Returns:
    The prefix, and how many of the wanted names follow it.

  Raises:
    UserError: two copies of the network fit equally well, most of each is
      there, and neither stands without a prefix.
  """
  names = set(names)
  scores = {p: sum(p + name in names for name in wanted) for p in prefixes}
  most = max(scores.values())
  equal = [prefix for prefix, score in scores.items() if score == most]
  if '' in equal:
    return '', most
  if len(equal) > 1 and 2 * most > len(wanted):
    shown = ' and '.join(quoted(repr(prefix), 60) for prefix in equal[:_SHOWN])
    raise UserError(
      f'{file} holds the network more than once, after {shown}; save the one '
      'that you want alone.'
    )
  return equal[0], most


def examples(names: Iterable[str], count: int = _SHOWN) -> str:
  """Some names of a file for a message: 'a, b, c, ...'."""
  names = list(names)
  shown = ', '.join(quoted(name, 80) for name in names[:count])
  return f'{shown}, ...' if len(names) > count else shown
