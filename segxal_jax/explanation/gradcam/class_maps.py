"""Many backward passes on one forward pass, in the back end's fastest form.

All forms compute the same. 'batched' makes the passes one program with a
longer batch (`vmap`), 'unrolled' writes them one after the other, and
'sequential' runs a loop, which needs the memory and the program of one alone.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from fsnet_jax.models.cpu import conv_forms

FORMS = ('batched', 'unrolled', 'sequential')


def each(
  function: Callable[[Array], Array], rows: Array, form: str = 'auto'
) -> Array:
  """Applies a function to each row and stacks the results.

  Args:
    function: row -> array.
    rows: [n ...].
    form: of `FORMS`, or 'auto': by back end.

  Returns:
    [n ...].

  Raises:
    ValueError: no such form.
  """
  if form == 'auto':
    form = 'unrolled' if conv_forms.rewriting() else 'batched'
  if form == 'batched':
    return jax.vmap(function)(rows)
  if form == 'unrolled':
    return jnp.stack([function(row) for row in rows])
  if form == 'sequential':
    return jax.lax.map(function, rows)
  raise ValueError(f'Unknown form of backward passes: {form!r}.')
