"""Which surface and which depth, against ray geometry written out here."""

import numpy as np
import pytest

from street_scenes.geometry import capsules, raster
from street_scenes.geometry.camera import Camera
from street_scenes.geometry.mesh import Material, MeshMaker
from street_scenes.geometry.polygons import FIRST
from street_scenes.geometry.raster import Bonnet
from street_scenes.geometry.world import WorldBuilder

SIZE = (64, 128)
LEVEL = Camera(position=(0.0, 1.5, 0.0))
GREY = ((0.5, 0.5, 0.5),)


def box(x, y, z):
  maker = MeshMaker()
  maker.use(0)
  maker.box(x, y, z)
  return maker.build()


def ball(center, radius, material=Material.PLAIN):
  maker = MeshMaker()
  maker.use(0, material)
  maker.ball(center, radius)
  return maker.build()


def upright(z, material=Material.PLAIN):
  maker = MeshMaker()
  maker.use(0, material)
  maker.polygon([(-2, 0, z), (2, 0, z), (2, 3, z), (-2, 3, z)])
  return maker.build()


def see(*placed, camera=LEVEL, size=SIZE, bonnet=None, supersample=1):
  builder = WorldBuilder()
  for mesh, position, *rest in placed:
    builder.add(mesh, 13, position, GREY, **(rest[0] if rest else {}))
  return raster.rasterize(
    builder.build(), camera, size, supersample, bonnet or Bonnet()
  )


def depth_of(fragments):
  """Depth of all samples, capsules included."""
  shape = fragments.ids.shape
  ids = fragments.ids.reshape(-1)
  slope_x = np.tile(fragments.slope_x, shape[0])
  slope_y = np.repeat(fragments.slope_y, shape[1])
  depth = raster.flat_depth(fragments, ids, slope_x, slope_y)
  at = np.flatnonzero(ids >= fragments.first_round)
  if at.size:
    shapes = fragments.rounds[:, ids[at] - fragments.first_round]
    depth[at], _ = capsules.round_shape(
      shapes, depth[at], slope_x[at], slope_y[at]
    )
  return depth.reshape(shape)


FAR_AWAY = (box((0, 1), (0, 1), (0, 1)), (0.0, 0.0, -50.0))


def test_ground_and_sky_of_a_level_camera():
  fragments = see(FAR_AWAY)
  depth = depth_of(fragments)
  rows = np.arange(SIZE[0])
  below = rows - 31.5
  expected = 1.5 * 128 / below[below > 0]
  assert (fragments.ids[below < 0] == raster.SKY).all()
  assert (fragments.ids[below > 0] == raster.GROUND).all()
  np.testing.assert_array_equal(depth[below < 0], raster.SKY_DEPTH)
  np.testing.assert_allclose(
    depth[below > 0], np.broadcast_to(expected[:, None], (32, 128)), rtol=1e-4
  )


@pytest.mark.parametrize('angles', [(0.0, 0.0, 0.0), (0.3, 0.1, -0.05)])
def test_box_has_the_depth_of_its_nearest_face(angles):
  camera = Camera((0.2, 1.5, 0.0), *angles)
  low, high = np.array([-1.0, 0.0, 8.0]), np.array([1.5, 2.0, 12.0])
  mesh = box((low[0], high[0]), (low[1], high[1]), (low[2], high[2]))
  fragments = see((mesh, (0.0, 0.0, 0.0)), camera=camera)
  depth = depth_of(fragments)
  # Slab test of every ray, camera z = 1 per unit of ray.
  x, y = np.meshgrid(fragments.slope_x, fragments.slope_y)
  ray = np.stack([x, y, np.ones_like(x)], -1) @ camera.rotation()
  with np.errstate(divide='ignore'):
    to_low = (low - camera.position) / ray
    to_high = (high - camera.position) / ray
  enter = np.minimum(to_low, to_high).max(-1)
  leave = np.maximum(to_low, to_high).min(-1)
  hit = enter < leave
  seen = fragments.ids >= FIRST
  # OpenCV also fills samples that the outline touches.
  assert hit.sum() > 300
  assert seen[hit].mean() > 0.99
  assert (seen & ~hit).sum() < 0.15 * hit.sum()
  both = seen & hit
  np.testing.assert_allclose(depth[both], enter[both], rtol=2e-3)


def test_turned_and_moved_box():
  mesh = box((-1, 1), (0, 1), (-2, 2))
  turned = see((mesh, (3.0, 0.0, 15.0), {'yaw': np.pi / 2}))
  same = see((box((-2, 2), (0, 1), (-1, 1)), (3.0, 0.0, 15.0)))
  np.testing.assert_array_equal(turned.ids >= FIRST, same.ids >= FIRST)
  np.testing.assert_allclose(depth_of(turned), depth_of(same), rtol=1e-3)


def test_ball_has_the_depth_of_a_sphere():
  center, radius = np.array([1.0, 2.0, 12.0]), 1.5
  fragments = see((ball((0, 0, 0), radius), tuple(center)))
  depth = depth_of(fragments)
  x, y = np.meshgrid(fragments.slope_x, fragments.slope_y)
  ray = np.stack([x, -y, np.ones_like(x)], -1)  # world axes, level camera
  offset = center - np.array(LEVEL.position)
  a = (ray**2).sum(-1)
  b = ray @ offset
  under = b**2 - a * (offset @ offset - radius**2)
  expected = (b - np.sqrt(np.maximum(under, 0))) / a
  well_inside = under > 0.25 * under.max()
  assert well_inside.sum() > 200
  assert (fragments.ids[well_inside] >= fragments.first_round).all()
  np.testing.assert_allclose(
    depth[well_inside], expected[well_inside], atol=0.01
  )


def test_capsule_stands_upright():
  maker = MeshMaker()
  maker.use(0)
  maker.capsule((0, 0, 0), (0, 4, 0), 0.3, 0.3)
  fragments = see((maker.build(), (0.0, 0.0, 10.0)))
  at = fragments.ids >= fragments.first_round
  rows, columns = np.nonzero(at)
  # 0.6 m at 10 m with f = 128 are 7.7 pixels.
  assert 7 <= np.ptp(columns) + 1 <= 10
  assert depth_of(fragments)[at].min() == pytest.approx(9.7, abs=0.03)
  # Its foot, one radius below the ground, is hidden by the ground.
  foot = 31.5 + 1.5 / 9.7 * 128
  assert rows.max() == pytest.approx(foot, abs=1.5)


@pytest.mark.parametrize('first', [0, 1])
def test_near_covers_far_in_any_order(first):
  placed = [
    (upright(0.0), (0.0, 0.0, 10.0)),
    (upright(0.0), (0.0, 0.0, 20.0)),
  ]
  fragments = see(placed[first], placed[1 - first])
  assert depth_of(fragments)[31, 63] == pytest.approx(10, rel=1e-4)


def test_faces_that_look_away_are_not_seen():
  maker = MeshMaker()
  maker.use(0)
  maker.front((-1, 1), (0, 3), 0.0, 1.0)
  assert (see((maker.build(), (0.0, 0.0, 9.0))).ids < FIRST).all()
  maker = MeshMaker()
  maker.use(0)
  maker.front((-1, 1), (0, 3), 0.0, -1.0)
  assert (see((maker.build(), (0.0, 0.0, 9.0))).ids >= FIRST).any()


def test_what_crosses_the_camera_plane_is_cut():
  # A wall beside the camera, from behind it to 30 m ahead.
  maker = MeshMaker()
  maker.use(0)
  maker.side(0.0, (0.0, 4.0), (-20.0, 30.0), -1.0)
  fragments = see((maker.build(), (3.0, 0.0, 0.0)))
  seen = fragments.ids >= FIRST
  assert seen[:, 127].any()
  assert not seen[:, :64].any()
  at = np.flatnonzero(seen[31])[1:]  # the first one is beyond the far end
  np.testing.assert_allclose(
    depth_of(fragments)[31, at], 3 / fragments.slope_x[at], rtol=1e-3
  )


def test_surface_behind_a_fence_is_remembered():
  fragments = see(
    (upright(0.0), (0.0, 0.0, 20.0)),
    (upright(0.0, Material.PICKETS), (0.0, 0.0, 8.0)),
  )
  assert fragments.ids[31, 63] == FIRST + 1
  assert fragments.under[31, 63] == FIRST
  below = 31 + int(2.5 * 128 / 20)
  assert fragments.under[below, 63] == raster.GROUND


def test_bonnet_hides_the_lower_edge():
  hidden = see(FAR_AWAY, bonnet=Bonnet(height=0.1, curve=0.05))
  assert (hidden.ids[-1] == raster.BONNET).all()
  share = (hidden.ids == raster.BONNET).mean()
  assert 0.06 < share < 0.1
  depth = depth_of(hidden)[hidden.ids == raster.BONNET]
  assert (depth > 0.5).all() and (depth < 5).all()


@pytest.mark.parametrize('size', [(33, 47), (48, 200), (100, 40)])
def test_depth_does_not_depend_on_the_number_of_samples(size):
  placed = (
    (box((-1, 1), (0, 2), (-2, 2)), (1.0, 0.0, 12.0), {'yaw': 0.4}),
    (ball((0, 1.5, 0), 1.0), (-1.5, 0.0, 9.0)),
  )
  one = see(*placed, size=size)
  two = see(*placed, size=size, supersample=2)
  same = one.ids == two.ids[::2, ::2]
  assert same.mean() > 0.97
  np.testing.assert_allclose(
    depth_of(one)[same], depth_of(two)[::2, ::2][same], rtol=1e-4
  )
