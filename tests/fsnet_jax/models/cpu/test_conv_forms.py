import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fsnet_jax.models.cpu import conv_forms, pooling
from fsnet_jax.models.layers import basic
from tests.fsnet_jax.models import quick

NHWC = ('NHWC', 'HWIO', 'NHWC')
# (size, kernel, strides, pads, dilation); inputs 5, outputs 6.
CASES = [
  ((9, 7), (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1)),
  ((8, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
  ((8, 7), (3, 3), (2, 1), ((0, 2), (3, 1)), (1, 1)),
  ((9, 8), (3, 3), (1, 1), ((4, 4), (4, 4)), (4, 4)),
  ((9, 8), (3, 2), (1, 1), ((5, 0), (0, 3)), (2, 1)),
  ((10, 9), (3, 3), (2, 3), ((2, 1), (1, 2)), (2, 1)),
  ((9, 11), (5, 4), (1, 1), ((0, 0), (0, 0)), (1, 1)),
]


def values(seed, *shape):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.standard_normal(shape), jnp.float32)


def reference(x, kernel, geometry):
  return lax.conv_general_dilated(
    x,
    kernel,
    geometry.strides,
    geometry.pads,
    rhs_dilation=geometry.dilation,
    dimension_numbers=NHWC,
  )


def with_gradients(function, x, kernel, g):
  """Value and the gradients of both arguments, from one program."""

  @quick.jit
  def run(x, kernel, g):
    value, pull = jax.vjp(function, x, kernel)
    return (value, *pull(g))

  return run(x, kernel, g)


def assert_same(function, other, x, kernel):
  """Values and both gradients agree to rounding."""
  g = values(9, *jax.eval_shape(other, x, kernel).shape)
  ours = with_gradients(function, x, kernel, g)
  expected = with_gradients(other, x, kernel, g)
  for mine, theirs in zip(ours, expected):
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(mine, theirs, atol=2e-6 * scale, rtol=0)


@pytest.mark.parametrize('case', CASES[:4])
@pytest.mark.parametrize('inputs', [37, 71])
def test_parts_of_the_channels_sum_to_the_convolution(case, inputs):
  size, window, strides, pads, dilation = case
  geometry = conv_forms.Geometry(strides, pads, dilation)
  forms = conv_forms.Forms('parted')
  x, kernel = values(0, 2, *size, inputs), values(1, *window, inputs, 6)
  assert_same(
    lambda x, kernel: conv_forms.convolve(x, kernel, geometry, forms),
    lambda x, kernel: reference(x, kernel, geometry),
    x,
    kernel,
  )
  half = [leaf.astype(jnp.bfloat16) for leaf in (x, kernel)]
  np.testing.assert_array_equal(
    np.asarray(conv_forms.convolve(*half, geometry, forms), np.float32),
    np.asarray(reference(*half, geometry), np.float32),
  )


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize(
  'form', ['patches', 'taps', 'flipped', 'bands', 'rows', 'swapped']
)
def test_every_form_is_the_convolution(case, form):
  size, window, strides, pads, dilation = case
  if form == 'patches':
    forms = conv_forms.Forms('patches', 'plain', 'patches')
  elif form == 'taps':
    forms = conv_forms.Forms('plain', 'taps', 'taps')
  else:
    # Defined for unit strides; the case's other numbers stay.
    gradient = 'plain' if form == 'flipped' else form
    forms, strides = conv_forms.Forms('plain', 'flipped', gradient), (1, 1)
  geometry = conv_forms.Geometry(strides, pads, dilation)
  x, kernel = values(0, 2, *size, 5), values(1, *window, 5, 6)
  assert_same(
    lambda x, kernel: conv_forms.convolve(x, kernel, geometry, forms),
    functools.partial(reference, geometry=geometry),
    x,
    kernel,
  )


@pytest.mark.parametrize('dilation', [(1, 1), (2, 4)])
@pytest.mark.parametrize('size', [(8, 6), (9, 13), (1, 1), (3, 2)])
def test_winograds_form_is_the_convolution(size, dilation):
  forms = conv_forms.Forms('winograd', 'winograd')
  pads = tuple((tap, tap) for tap in dilation)
  geometry = conv_forms.Geometry((1, 1), pads, dilation)
  assert_same(
    lambda x, kernel: conv_forms.convolve(x, kernel, geometry, forms),
    functools.partial(reference, geometry=geometry),
    values(0, 2, *size, 5),
    values(1, 3, 3, 5, 6),
  )


def test_halves_are_not_summed_before_they_are_multiplied():
  x, kernel = values(0, 1, 9, 9, 8), values(1, 3, 3, 8, 4)
  geometry = conv_forms.Geometry((1, 1), ((1, 1), (1, 1)), (1, 1))
  half = [a.astype(jnp.bfloat16) for a in (x, kernel)]
  ours = conv_forms.convolve(*half, geometry, conv_forms.Forms('winograd'))
  np.testing.assert_array_equal(ours, reference(*half, geometry))


@pytest.mark.parametrize('columns', [2, 4, 8])
@pytest.mark.parametrize('input_gradient', ['plain', 'flipped'])
@pytest.mark.parametrize('size', [(5, 8), (1, 16)])
def test_folded_columns_are_the_convolution(columns, input_gradient, size):
  back = columns if input_gradient == 'flipped' else 1
  forms = conv_forms.Forms(
    input_gradient=input_gradient, columns=columns, gradient_columns=back
  )
  geometry = conv_forms.Geometry((1, 1), ((1, 1), (1, 1)), (1, 1))
  x, kernel = values(0, 2, *size, 5), values(1, 3, 3, 5, 6)
  assert_same(
    lambda x, kernel: conv_forms.convolve(x, kernel, geometry, forms),
    functools.partial(reference, geometry=geometry),
    x,
    kernel,
  )


@pytest.mark.parametrize('columns', [2, 4])
@pytest.mark.parametrize('inputs', [3, 7, 8])
def test_folded_columns_of_a_strided_kernel(columns, inputs):
  forms = conv_forms.Forms(columns=columns)
  geometry = conv_forms.Geometry((2, 2), ((3, 3), (3, 3)), (1, 1))
  # 8 columns of the output, whether the input's are even or odd.
  for width in (15, 16):
    assert_same(
      lambda x, kernel: conv_forms.convolve(x, kernel, geometry, forms),
      functools.partial(reference, geometry=geometry),
      values(0, 2, 9, width, inputs),
      values(1, 7, 7, inputs, 8),
    )


@pytest.mark.parametrize(
  ('size', 'inputs', 'outputs', 'window', 'stride', 'pad'),
  [
    ((10, 16), 3, 8, 3, 1, 1),
    ((11, 12), 3, 16, 3, 1, 1),
    ((11, 13), 16, 19, 3, 1, 1),
    ((47, 45), 32, 16, 3, 1, 1),
    ((10, 14), 8, 16, 3, 1, 1),
    ((10, 14), 3, 8, 3, 1, 1),
    ((10, 14), 8, 136, 3, 1, 1),
    ((2, 9), 8, 24, 3, 1, 1),
    ((1, 3), 8, 24, 3, 2, 1),
    ((11, 14), 136, 16, 3, 2, 1),
    ((11, 14), 8, 16, 1, 2, 0),
    ((9, 8), 9, 24, 7, 1, 0),
    ((9, 8), 64, 24, 7, 1, 0),
    ((11, 14), 7, 16, 7, 2, 3),
    ((21, 25), 64, 72, 3, 1, 1),
    ((8, 16), 256, 24, 7, 1, 3),
    ((15, 18), 128, 136, 3, 1, 1),
    ((9, 8), 13, 20, 3, 2, 1),
  ],
)
def test_chosen_forms(size, inputs, outputs, window, stride, pad):
  kernel = values(1, window, window, inputs, outputs)
  layer = basic.conv(outputs, window, stride=stride, padding=pad)

  def run(choice, x, kernel):
    params = {'kernel': kernel, 'bias': jnp.zeros(outputs)}
    with conv_forms.use(choice):
      return layer.apply({'params': params}, x)

  assert_same(
    functools.partial(run, 'cpu'),
    functools.partial(run, 'plain'),
    values(0, 2, *size, inputs),
    kernel,
  )


@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
def test_padding_by_name(padding):
  x, kernel = values(0, 2, 9, 8, 136), values(1, 3, 3, 136, 6)
  arguments = ((2, 2), padding, None, (1, 2), NHWC)
  with conv_forms.use('cpu'):
    ours = conv_forms.conv_general_dilated(x, kernel, *arguments)
  expected = lax.conv_general_dilated(x, kernel, *arguments)
  np.testing.assert_allclose(ours, expected, atol=1e-4)


def rewritten(choice, function, *arguments):
  """Whether tracing under a choice gives another program than plain."""
  with conv_forms.use(choice):
    program = jax.make_jaxpr(lambda *a: function(*a))(*arguments)
  return 'custom_vjp_call' in str(program)


def test_the_choice_and_its_override(monkeypatch):
  x, kernel = values(0, 1, 4, 4, 8), values(1, 1, 1, 8, 8)

  def convolve(x, kernel):
    return conv_forms.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=NHWC
    )

  assert rewritten('auto', convolve, x, kernel)
  assert rewritten('cpu', convolve, x, kernel)
  assert not rewritten('plain', convolve, x, kernel)
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert not rewritten('auto', convolve, x, kernel)
  assert not rewritten('auto', pooling.max_pool_2x2, x)
  assert rewritten('cpu', convolve, x, kernel)
  assert rewritten('cpu', pooling.max_pool_2x2, x)
  with pytest.raises(ValueError, match='fast'), conv_forms.use('fast'):
    pass


def test_what_is_never_rewritten():
  x, kernel = values(0, 1, 6, 6, 8), values(1, 1, 1, 8, 8)

  def dilated(x, kernel):
    return conv_forms.conv_general_dilated(
      x, kernel, (1, 1), ((0, 0),) * 2, (2, 2), dimension_numbers=NHWC
    )

  def grouped(x, kernel):
    return conv_forms.conv_general_dilated(
      x,
      kernel[:, :, :4],
      (1, 1),
      'VALID',
      dimension_numbers=NHWC,
      feature_group_count=2,
    )

  def precise(x, kernel):
    return conv_forms.conv_general_dilated(
      x, kernel, (1, 1), 'VALID', dimension_numbers=NHWC, precision='highest'
    )

  for function in (dilated, grouped, precise):
    assert not rewritten('cpu', function, x, kernel)
  assert dilated(x, kernel).shape == (1, 11, 11, 8)


@pytest.mark.parametrize(
  'kernel_gradient', ['bands', 'rows', 'patches', 'swapped']
)
def test_half_precision_kernel_gradients(kernel_gradient):
  # Many bands: rounded after each, their sum would err by percents.
  x, kernel = values(0, 1, 203, 5, 8), values(1, 3, 3, 8, 4)
  geometry = conv_forms.Geometry((1, 1), ((1, 1), (1, 1)), (1, 1))
  forms = conv_forms.Forms(kernel_gradient=kernel_gradient)
  half = [a.astype(jnp.bfloat16) for a in (x, kernel)]

  def gradient(convolve, x, kernel):
    y, pull = jax.vjp(convolve, x, kernel)
    return pull(jnp.ones_like(y))[1]

  ours = quick.jit(
    lambda x, kernel: gradient(
      lambda x, k: conv_forms.convolve(x, k, geometry, forms), x, kernel
    )
  )(*half)
  assert ours.dtype == jnp.bfloat16
  exact = gradient(
    lambda x, k: reference(x, k, geometry),
    *[a.astype(jnp.float32) for a in half],
  )
  error = np.abs(ours.astype(jnp.float32) - exact).max()
  assert error <= 2.0**-8 * np.abs(exact).max()


def test_half_precision_is_summed_in_single():
  # 49 products rounded to 8 bits after each addition would err by percents.
  x, kernel = values(0, 1, 9, 9, 8), values(1, 7, 7, 8, 4)
  geometry = conv_forms.Geometry((1, 1), ((0, 0), (0, 0)), (1, 1))
  forms = conv_forms.Forms('patches', 'taps', 'taps')
  half = [a.astype(jnp.bfloat16) for a in (x, kernel)]

  @quick.jit
  def run(x, kernel):
    y, pull = jax.vjp(
      lambda x, k: conv_forms.convolve(x, k, geometry, forms), x, kernel
    )
    return y, *pull(y)

  ours, *gradients = run(*half)
  assert [a.dtype for a in (ours, *gradients)] == [jnp.bfloat16] * 3
  exact = reference(*[a.astype(jnp.float32) for a in half], geometry)
  error = np.abs(ours.astype(jnp.float32) - exact).max()
  # One rounding of the result: 2^-9 of its largest value.
  assert error <= 2.0**-8 * np.abs(exact).max()


def test_vmap_of_a_rewritten_layer():
  # Monte-Carlo dropout maps the network's tail over samples.
  xs, kernel = values(0, 3, 2, 5, 4, 8), values(1, 1, 1, 8, 6)
  geometry = conv_forms.Geometry((1, 1), ((0, 0), (0, 0)), (1, 1))
  forms = conv_forms.Forms('patches', 'taps', 'patches')

  def convolve(x):
    return conv_forms.convolve(x, kernel, geometry, forms)

  expected = jnp.stack([reference(x, kernel, geometry) for x in xs])
  np.testing.assert_allclose(jax.vmap(convolve)(xs), expected, atol=1e-5)
