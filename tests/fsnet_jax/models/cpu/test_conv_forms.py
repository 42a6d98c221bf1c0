import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fsnet_jax.models.cpu import conv_forms, pooling, vectors
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


@pytest.mark.parametrize(
  ('channels', 'size', 'form'),
  [
    ((128, 128), (16, 16), 'winograd'),
    ((128, 128), (64, 64), 'winograd'),
    ((128, 128), (65, 64), 'plain'),
    ((128, 256), (64, 128), 'winograd'),
    ((127, 300), (64, 128), 'plain'),
    ((128, 128), (16, 15), 'plain'),
    ((256, 256), (128, 256), 'winograd'),
  ],
)
def test_which_layers_take_winograds_form(channels, size, form):
  for tap in (1, 2):
    geometry = conv_forms.Geometry((1, 1), ((tap, tap),) * 2, (tap, tap))
    forms = conv_forms.choose((3, 3, *channels), geometry, size)
    assert forms.forward == form
    assert (forms.input_gradient == 'winograd') == (form == 'winograd')
    for other in (
      dataclasses.replace(geometry, strides=(1, 2)),
      dataclasses.replace(geometry, pads=((tap, tap), (0, tap))),
    ):
      forms = conv_forms.choose((3, 3, *channels), other, size)
      assert forms.forward == 'plain'
  geometry = conv_forms.Geometry((1, 1), ((1, 1),) * 2, (1, 1))
  forms = conv_forms.choose((3, 2, *channels), geometry, size)
  assert forms.forward == 'plain'


@pytest.mark.parametrize(
  ('channels', 'forward'),
  [
    ((39, 16), 'evened'),
    ((19, 48), 'evened'),
    ((19, 49), 'plain'),
    ((40, 16), 'plain'),
    ((22, 16), 'evened'),
    ((22, 19), 'plain'),
    ((71, 16), 'plain'),
    ((9, 16), 'plain'),
    ((9, 19), 'evened'),
    ((3, 32), 'plain'),
  ],
)
@pytest.mark.parametrize('strides', [(1, 1), (2, 2)])
def test_which_layers_get_channels_of_zeros(channels, forward, strides):
  geometry = conv_forms.Geometry(strides, ((1, 1), (1, 1)), (1, 1))
  forms = conv_forms.choose((3, 3, *channels), geometry, (24, 32))
  assert forms.forward == forward


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
  ('channels', 'width', 'pads', 'columns'),
  [
    ((3, 8), 12, (1, 1), 4),
    ((8, 3), 12, (1, 1), 4),
    ((3, 8), 10, (1, 1), 2),
    ((3, 16), 12, (1, 1), 4),
    ((16, 3), 10, (1, 1), 2),
    ((4, 16), 12, (1, 1), 2),
    ((3, 17), 12, (1, 1), 1),
    ((8, 8), 12, (1, 1), 2),
    ((8, 16), 12, (1, 1), 2),
    ((8, 8), 9, (1, 1), 1),
    ((9, 16), 12, (1, 1), 1),
    ((8, 17), 12, (1, 1), 1),
    ((8, 8), 12, (99, 99), 1),
  ],
)
def test_what_is_folded(channels, width, pads, columns, monkeypatch):
  monkeypatch.setattr(vectors, 'lanes', lambda: 8)
  geometry = conv_forms.Geometry((1, 1), (pads, pads), (1, 1))
  forms = conv_forms.choose((3, 3, *channels), geometry, (8, width))
  assert forms.columns == columns
  if min(channels) > 4:
    # Else the images', whose gradient nobody asks for.
    assert forms.gradient_columns == columns
  for other in (
    dataclasses.replace(geometry, strides=(1, 2)),
    dataclasses.replace(geometry, dilation=(2, 2)),
  ):
    forms = conv_forms.choose((3, 3, *channels), other, (8, width))
    assert forms.columns == forms.gradient_columns == 1


@pytest.mark.parametrize(
  ('channels', 'width', 'columns'),
  [
    ((3, 8), 16, (8, 1)),
    ((3, 8), 12, (4, 1)),
    ((3, 16), 16, (4, 1)),
    ((3, 32), 16, (2, 1)),
    ((3, 33), 16, (1, 1)),
    ((8, 3), 16, (4, 8)),
    ((8, 8), 16, (4, 4)),
    ((8, 8), 10, (2, 2)),
    ((8, 16), 16, (2, 4)),
    ((16, 8), 16, (4, 2)),
    ((16, 16), 16, (2, 2)),
    ((8, 19), 16, (1, 1)),
    ((17, 16), 16, (1, 1)),
    ((16, 2), 16, (8, 4)),
  ],
)
def test_what_wide_vectors_fold(channels, width, columns, monkeypatch):
  monkeypatch.setattr(vectors, 'lanes', lambda: 16)
  geometry = conv_forms.Geometry((1, 1), ((1, 1), (1, 1)), (1, 1))
  forms = conv_forms.choose((3, 3, *channels), geometry, (8, width))
  assert (forms.columns, forms.gradient_columns) == columns


def test_lanes_of_this_machine(monkeypatch):
  features = pathlib.Path('/proc/cpuinfo').read_text(encoding='ascii')
  assert vectors.lanes() == (16 if 'avx512f' in features.split() else 8)

  def missing(*args, **kwargs):
    raise FileNotFoundError

  vectors.lanes.cache_clear()
  monkeypatch.setattr(pathlib.Path, 'read_text', missing)
  assert vectors.lanes() == 8
  vectors.lanes.cache_clear()


@pytest.mark.parametrize(
  ('channels', 'width', 'columns'),
  [((4, 8), 16, 4), ((4, 8), 15, 4), ((4, 8), 12, 2), ((4, 64), 16, 1)],
)
def test_resnets_first_layer_is_folded(channels, width, columns, monkeypatch):
  monkeypatch.setattr(vectors, 'lanes', lambda: 8)
  geometry = conv_forms.Geometry((2, 2), ((3, 3), (3, 3)), (1, 1))
  forms = conv_forms.choose((7, 7, *channels), geometry, (8, width))
  assert forms.columns == columns


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


@pytest.mark.parametrize(
  ('channels', 'size', 'stride', 'kernel_gradient'),
  [
    ((64, 64), (16, 32), 1, 'bands'),
    ((512, 512), (32, 64), 1, 'bands'),
    ((80, 48), (16, 32), 1, 'bands'),
    ((48, 16), (256, 128), 1, 'bands'),
    ((47, 64), (16, 32), 1, 'plain'),
    ((64, 64), (16, 31), 1, 'plain'),
    ((48, 15), (256, 128), 1, 'swapped'),
    ((48, 16), (256, 127), 1, 'rows'),
    ((32, 16), (32, 64), 1, 'rows'),
    ((64, 32), (32, 63), 1, 'swapped'),
    ((31, 16), (96, 128), 1, 'plain'),
    ((32, 16), (96, 128), 2, 'plain'),
    ((16, 19), (96, 128), 1, 'swapped'),
    ((24, 16), (96, 128), 1, 'plain'),
    ((16, 8), (96, 128), 1, 'swapped'),
    ((8, 15), (96, 128), 1, 'plain'),
    ((16, 19), (96, 128), 2, 'plain'),
    ((64, 64), (32, 64), 2, 'plain'),
    ((64, 129), (32, 64), 2, 'taps'),
  ],
)
def test_which_form_a_kernels_gradient_takes(
  channels, size, stride, kernel_gradient
):
  for dilation in (1, 4):
    geometry = conv_forms.Geometry(
      (stride, stride), ((dilation, dilation),) * 2, (dilation, dilation)
    )
    forms = conv_forms.choose((3, 3, *channels), geometry, size)
    assert forms.kernel_gradient == kernel_gradient


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
