"""What docstrings show works, and shows what comes out."""

import doctest
import importlib

import pytest

from fsnet_jax.metrics import failure
from segxal_jax import error_mask, gradcam, uncertainty

# What is called from Python by names that stay as they are.
STABLE = (
  failure.FailureHistogram,
  gradcam.grad_cam,
  uncertainty.entropy,
  error_mask.explainable_error_mask,
)


@pytest.mark.parametrize('thing', STABLE, ids=lambda thing: thing.__name__)
def test_what_users_call_has_an_example_that_works(thing):
  module = importlib.import_module(thing.__module__)
  examples = [
    one
    for one in doctest.DocTestFinder().find(thing, module=module)
    if one.examples
  ]
  assert examples
  for one in examples:
    said: list[str] = []
    failed, tried = doctest.DocTestRunner().run(one, out=said.append)
    assert tried and not failed, ''.join(said)
