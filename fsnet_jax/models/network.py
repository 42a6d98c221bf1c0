"""What a Flax module is to those who only run it."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Network(Protocol):
  """The methods of `flax.linen.Module` that are called from outside.

  Flax's own annotations leave open whether `apply` returns an output or a
  pair; its caller knows: a pair with `mutable`, else the output.
  """

  def init(self, rngs: Any, *args: Any, **kwargs: Any) -> Any:
    """The variables, as nested mappings by collection and name."""
    ...

  def init_with_output(
    self, rngs: Any, *args: Any, **kwargs: Any
  ) -> tuple[Any, Any]:
    """The output and the variables."""
    ...

  def apply(
    self, variables: Mapping[str, Any], *args: Any, **kwargs: Any
  ) -> Any:
    """The output; with `mutable` a pair with the variables that changed."""
    ...

  def clone(self, **updates: Any) -> 'Network':
    """The same module with other attributes."""
    ...


def output_of(
  network: Network, variables: Mapping[str, Any], *args: Any, **kwargs: Any
) -> Any:
  """What a network makes of its inputs; none of its variables change.

  Args:
    network: any Flax module.
    variables: of it.
    *args: of its `__call__`.
    **kwargs: likewise, or `method`, `rngs`.
  """
  return network.apply(variables, *args, **kwargs)
