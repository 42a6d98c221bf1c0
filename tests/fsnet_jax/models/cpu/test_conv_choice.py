import dataclasses
import pathlib

import pytest

from fsnet_jax.models.cpu import conv_forms, vectors


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


@pytest.mark.parametrize(
  ('channels', 'size', 'forward'),
  [
    ((39, 16), (64, 128), 'parted'),
    ((71, 32), (64, 128), 'parted'),
    ((39, 16), (64, 127), 'evened'),
    ((71, 49), (64, 128), 'plain'),
    ((40, 16), (64, 128), 'plain'),
    ((7, 16), (64, 128), 'plain'),
    ((45, 16), (64, 128), 'evened'),
  ],
)
def test_a_few_channels_behind_many_are_taken_by_themselves(
  channels, size, forward
):
  geometry = conv_forms.Geometry((1, 1), ((1, 1), (1, 1)), (1, 1))
  forms = conv_forms.choose((3, 3, *channels), geometry, size)
  assert forms.forward == forward


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
