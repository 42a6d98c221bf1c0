"""What a compiled program takes, and what an out-of-memory says."""

import types

import jax
import jax.numpy as jnp
import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime.machine import memory


def test_describe_counts_donated_results_once():
  analysis = types.SimpleNamespace(
    argument_size_in_bytes=3 << 30,
    output_size_in_bytes=3 << 30,
    alias_size_in_bytes=2 << 30,
    temp_size_in_bytes=1 << 29,
  )
  compiled = types.SimpleNamespace(memory_analysis=lambda: analysis)
  assert memory.describe(compiled) == (
    'peak memory 4.5 GiB per device (arguments 3.0 GiB, work 1.5 GiB)'
  )


def test_describe_reads_a_real_program():
  image = jnp.zeros((256, 1024))
  compiled = jax.jit(lambda x: x @ x.T).lower(image).compile()
  words = memory.describe(compiled)
  assert 'arguments 1.0 MiB' in words and words.startswith('peak memory 1.')


def test_describe_is_silent_without_an_analysis():
  compiled = types.SimpleNamespace(memory_analysis=lambda: None)
  assert memory.describe(compiled) == ''


def test_out_of_memory_names_the_fields_to_change():
  error = jax.errors.JaxRuntimeError(
    'RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.'
  )
  with (
    pytest.raises(UserError) as caught,
    memory.explained('training step 3'),
  ):
    raise error
  for word in ('step 3', 'batch_size', 'accumulate_steps', 'remat', 'image'):
    assert word in str(caught.value)


def test_other_errors_pass():
  with (
    pytest.raises(RuntimeError, match='INTERNAL'),
    memory.explained('training step 3'),
  ):
    raise jax.errors.JaxRuntimeError('INTERNAL: something else')
