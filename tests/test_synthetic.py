import dataclasses
import json

import numpy as np
import pytest

from bookcls.synthetic import covers, designs, floors, glyphs, pictures, rooms, sampling, scenes
from bookcls.synthetic.camera import Camera
from bookcls.synthetic.layout import Ground, Item, Layout, Light
from bookcls.synthetic.placing import lying, sheet, standing

CLEAN = Light(gradient=0.0, noise=0.0, haze=0.0)


def plain(colour, side=40):
    return np.full((side, side, 3), colour, np.uint8)


def square(x0, y0, side):
    corners = np.array([(x0, y0), (x0 + side, y0), (x0 + side, y0 + side), (x0, y0 + side)])
    return sheet(corners)


def test_a_seed_fixes_every_pixel():
    def scene():
        plans = [designs.design(k) for k in range(3)]
        sizes = [(plan.aspect, 1.0, plan.thickness) for plan in plans]
        layout = sampling.anywhere(np.random.default_rng(4), sizes, range(3))
        return scenes.compose(layout, [covers.skin(plan, 96) for plan in plans], 96, 128)

    first, second = scene(), scene()
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.index, second.index)


def test_identities_differ():
    fronts = [covers.render(designs.design(k), 64)[:, :40].astype(int) for k in range(12)]
    for num, front in enumerate(fronts):
        for other in fronts[:num]:
            assert np.abs(front - other).mean() > 8


def test_members_of_a_family_differ_but_little():
    strangers = [covers.render(designs.design(k), 96)[:, :60].astype(int) for k in range(8)]
    apart = np.mean([np.abs(a - b).mean() for a in strangers for b in strangers if a is not b])
    for identity in range(6):
        plain_cover = covers.render(designs.design(identity), 96).astype(int)
        for member in (1, 2):
            other = covers.render(designs.design(identity, member), 96).astype(int)
            difference = np.abs(plain_cover - other).mean()
            assert 0 < difference < 0.7 * apart


def test_every_identity_has_a_family():
    for identity in range(40):
        plain_cover, other = (covers.render(designs.design(identity, k), 48) for k in (0, 1))
        assert not np.array_equal(plain_cover, other)


def test_the_band_slips():
    plan = next(plan for plan in map(designs.design, range(50)) if plan.band)
    still, moved = (covers.render(plan, 96, band_shift=shift) for shift in (0.0, -0.1))
    assert not np.array_equal(still, moved)
    assert np.array_equal(still[:20], moved[:20])


@pytest.mark.parametrize("kind", pictures.PICTURES)
def test_every_picture_shows_something(kind):
    colours = [covers.WHITE, (200, 30, 40), covers.BLACK]
    art = pictures.draw(kind, 5, 80, 60, colours)
    assert art.shape == (80, 60, 4)
    assert art.astype(float).std(axis=(0, 1)).max() > 5
    assert not np.array_equal(art, pictures.draw(kind, 6, 80, 60, colours))


@pytest.mark.parametrize("script", glyphs.SCRIPTS)
def test_every_script_has_ink(script):
    mask = glyphs.line(np.random.default_rng(2), script, 8)
    assert 0.03 < (mask > 127).mean() < 0.6
    upright = glyphs.line(np.random.default_rng(2), script, 8, vertical=True)
    assert upright.shape[0] > upright.shape[1]


@pytest.mark.parametrize("size", [64, 200])
def test_visible_fraction_equals_the_analytic_overlap(size):
    lower, upper = square(0.1, 0.1, 0.4), square(0.3, 0.2, 0.4)
    layout = Layout(0, items=(Item(0, lower), Item(1, upper)), light=CLEAN)
    textures = [plain((255, 0, 0)), plain((0, 0, 255))]
    scene = scenes.compose(layout, textures, size, size)
    below, above = scene.truths
    tolerance = 4 / size
    assert above.visible == pytest.approx(1.0, abs=tolerance)
    assert below.visible == pytest.approx(1 - 0.2 * 0.3 / 0.4**2, abs=tolerance)
    assert below.share == pytest.approx(0.4**2 - 0.2 * 0.3, abs=tolerance)
    assert not (below.mask & above.mask).any()
    assert scene.image[below.mask][:, 0].mean() > 240
    np.testing.assert_allclose(below.corners, lower.front * size)


def test_what_lies_outside_the_frame_counts_as_hidden():
    layout = Layout(0, items=(Item(0, square(0.75, 0.25, 0.5)),), light=CLEAN)
    (truth,) = scenes.compose(layout, [plain((9, 9, 9))], 100, 100).truths
    assert truth.visible == pytest.approx(0.5, abs=0.03)


def test_holes_of_a_texture_show_what_is_below():
    ring = np.dstack([plain((255, 255, 255)), np.full((40, 40), 255, np.uint8)])
    ring[10:30, 10:30, 3] = 0
    layout = Layout(0, items=(Item(0, square(0.2, 0.2, 0.6)),), light=CLEAN)
    ground = np.full((50, 50, 3), (0, 120, 0), np.uint8)
    scene = scenes.compose(layout, [ring], 100, 100, background=ground)
    (truth,) = scene.truths
    assert tuple(scene.image[50, 50]) == (0, 120, 0)
    assert not truth.mask[50, 50]
    assert truth.visible == pytest.approx(1.0, abs=0.05)
    assert truth.share == pytest.approx(0.36 * 0.75, abs=0.02)


def test_print_is_never_mirrored():
    rng = np.random.default_rng(8)
    for _ in range(20):
        sizes = [(0.7, 1.0, 0.1)] * 3
        for item in sampling.anywhere(rng, sizes, range(3)).items:
            (ax, ay), (bx, by) = np.diff(item.body.front[:3], axis=0)
            assert ax * by - ay * bx > 0


def test_floor_homography_inverts_the_projection():
    camera = Camera(elevation=50, azimuth=30, roll=5, spot=(0.2, -0.1, 0.0))
    points = np.array([(0.0, 0.0), (0.7, 0.3), (-0.5, 0.8)])
    seen = camera.project(np.column_stack([points, np.zeros(3)]))
    back = np.column_stack([seen, np.ones(3)]) @ camera.floor().T
    np.testing.assert_allclose(back[:, :2] / back[:, 2:], points, atol=1e-9)


def test_a_box_seen_from_the_side_shows_more_than_its_front():
    camera = Camera(elevation=40)
    body = lying(camera, (0, 0, 0), 0, (0.7, 1.0, 0.2))
    front = lying(camera, (0, 0, 0.2), 0, (0.7, 1.0, 0.0))
    assert body.area() > 1.1 * front.area()
    up = standing(camera, (0, 0), 0, (0.7, 1.0, 0.1), quarter=2)
    assert up.front[0, 1] > up.front[3, 1]


@pytest.mark.parametrize("kind", ["wood", "tiles", "desk"])
def test_floors_look_alike_at_any_size(kind):
    ground = Ground(kind, seed=3, angle=20)
    small = floors.render(ground, Camera(), 48, 64)
    large = floors.render(ground, Camera(), 192, 256)
    pooled = large.reshape(48, 4, 64, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - pooled).mean() < 6


def test_a_layout_is_plain_data():
    layout = rooms.empty(np.random.default_rng(1))
    assert json.dumps(dataclasses.asdict(layout), default=np.ndarray.tolist)
