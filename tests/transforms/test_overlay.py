# Copyright (c) MONAI AdvExplain maintainers
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The pictures have the right pixels in the right places."""

from __future__ import annotations

import matplotlib
import nibabel
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from monai.data import MetaTensor
from PIL import Image

from monai_advexplain.transforms.drawing import HEAT, OUTLINE
from monai_advexplain.transforms.overlay import overlay_figure, picture_grid, save_figure

WIDTH, HEIGHT = 30, 20
CYAN = np.array(matplotlib.colors.to_rgb(OUTLINE))


def gradient_image() -> torch.Tensor:
    """(1, W, H), darker to the left and to the top, with a wide range of greys."""
    x, y = torch.meshgrid(torch.linspace(0, 0.7, WIDTH), torch.linspace(0, 0.3, HEIGHT), indexing="ij")
    return (x + y)[None]


def corner_square() -> torch.Tensor:
    """(1, W, H), 1 in the corner at high x and low y: upper right when drawn upright."""
    square = torch.zeros(1, WIDTH, HEIGHT)
    square[:, 24:, :5] = 1
    return square


def drawn(figure: Figure, panel: int) -> np.ndarray:
    """The pixels of one panel as they are rendered, resampled to (HEIGHT, WIDTH, 3) in [0, 1]."""
    figure.canvas.draw()
    canvas = np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255
    box = figure.axes[panel].get_window_extent()
    rows = len(canvas) - box.y0 - (np.arange(HEIGHT)[::-1] + 0.5) / HEIGHT * box.height
    columns = box.x0 + (np.arange(WIDTH) + 0.5) / WIDTH * box.width
    return canvas[rows.astype(int)][:, columns.astype(int)]


def is_coloured(pixels: np.ndarray) -> np.ndarray:
    return np.ptp(pixels, axis=-1) > 0.1


def outline_share(figure: Figure, panel: int) -> float:
    """Share of a panel's rendered pixels that have the outline's colour."""
    figure.canvas.draw()
    canvas = np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255
    box = figure.axes[panel].get_window_extent()
    inside = canvas[len(canvas) - int(box.y1) : len(canvas) - int(box.y0), int(box.x0) : int(box.x1)]
    return float((np.abs(inside - CYAN).max(axis=-1) < 0.1).mean())


def test_overlay_stands_upright_with_heat_only_where_the_explanation_is():
    pixels = drawn(overlay_figure(gradient_image(), corner_square()), panel=0)
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[:5, 24:] = True  # rows from the top, columns from the left
    assert (is_coloured(pixels) == expected).all()
    grey = pixels[..., 0]
    assert grey[-1, -1] > grey[-1, 0]
    assert grey[-1, 0] > grey[0, 0]


def test_overlay_has_a_colour_bar_with_its_units_and_range():
    figure = overlay_figure(gradient_image(), 0.25 * corner_square(), title="case 7", units="change in HU")
    panel, bar = figure.axes
    assert panel.get_title() == "case 7"
    assert bar.get_ylabel() == "change in HU"
    assert bar.get_ylim() == pytest.approx((0, 0.25))
    assert "g_s(x) - g_a(x)" in overlay_figure(gradient_image(), corner_square()).axes[1].get_ylabel()


def test_a_few_extreme_pixels_do_not_hide_the_rest():
    explanation = 0.2 * corner_square()
    explanation[0, 0, -1] = 100.0
    figure = overlay_figure(gradient_image(), explanation)
    assert figure.axes[1].get_ylim()[1] < 1.0
    assert is_coloured(drawn(figure, 0))[:5, 24:].all()


def test_a_tiny_explanation_below_the_percentile_is_still_scaled_by_its_maximum():
    explanation = torch.zeros(1, WIDTH, HEIGHT)
    explanation[0, 3, 4] = 0.5
    assert overlay_figure(gradient_image(), explanation).axes[1].get_ylim() == pytest.approx((0, 0.5))


def test_zero_explanations_and_constant_images_are_drawn_without_colour():
    zeros = torch.zeros(1, WIDTH, HEIGHT)
    pixels = drawn(overlay_figure(zeros, zeros, mask=zeros), 0)
    assert np.isfinite(pixels).all()
    assert not is_coloured(pixels).any()


def test_the_mask_is_outlined_around_its_pixels_and_an_empty_one_is_not():
    zeros = torch.zeros(1, WIDTH, HEIGHT)
    mask = zeros.clone()
    mask[:, 10:20, 5:15] = 1
    assert outline_share(overlay_figure(gradient_image(), zeros), 0) == 0
    assert outline_share(overlay_figure(gradient_image(), zeros, mask=zeros), 0) == 0
    outlined = overlay_figure(gradient_image(), zeros, mask=mask)
    assert 0.005 < outline_share(outlined, 0) < 0.05
    (lines,) = outlined.axes[0].collections
    corners = np.concatenate([path.vertices for path in lines.get_paths()])
    assert corners.min(axis=0).tolist() == [9.5, 4.5]
    assert corners.max(axis=0).tolist() == [19.5, 14.5]
    assert len(lines.get_paths()) == 40  # the perimeter in pixels
    assert not is_coloured(drawn(outlined, 0))[7:13, 12:18].any()


def test_a_mask_up_to_the_border_is_outlined_there_without_moving_the_picture():
    everywhere = torch.ones(1, WIDTH, HEIGHT)
    figure = overlay_figure(gradient_image(), torch.zeros(1, WIDTH, HEIGHT), mask=everywhere)
    assert outline_share(figure, 0) > 0.002
    assert figure.axes[0].axis() == (-0.5, WIDTH - 0.5, HEIGHT - 0.5, -0.5)


def spotted_volume(codes: str, spacing: tuple[float, ...]) -> tuple[MetaTensor, MetaTensor]:
    """A volume of 20 x 30 x 16 mm and its map, stored along the given axes: a spot to the left, front and top."""
    sizes = {"L": 20, "R": 20, "A": 30, "P": 30, "S": 16, "I": 16}
    centre = {"L": 15, "R": 5, "A": 24, "P": 6, "S": 12, "I": 4}
    affine, near = np.diag([0.0, 0.0, 0.0, 1.0]), []
    for axis, (to, sign) in enumerate(nibabel.orientations.axcodes2ornt(codes)):
        affine[int(to), axis] = sign * spacing[axis]
        mm = (np.arange(round(sizes[codes[axis]] / spacing[axis])) + 0.5) * spacing[axis]
        near.append(np.abs(mm - centre[codes[axis]]) < 2)
    explanation = np.einsum("i,j,k->ijk", *near).astype(np.float32)
    image = np.linspace(0, 1, explanation.size, dtype=np.float32).reshape(explanation.shape)
    return MetaTensor(image[None], affine=affine), MetaTensor(explanation[None], affine=affine)


@pytest.mark.parametrize(
    ("codes", "spacing"), [("LPS", (1, 1, 1)), ("RAS", (1, 1, 2)), ("ASL", (0.5, 2, 1)), ("PIR", (1, 1, 1))]
)
def test_three_planes_of_a_volume_meet_at_its_maximum_and_stand_as_doctors_look_at_them(codes, spacing):
    image, explanation = spotted_volume(codes, spacing)
    figure = overlay_figure(image, explanation, mask=explanation, title="case 7")
    figure.canvas.draw()
    place = dict(zip("xyz", np.argwhere(explanation[0].numpy())[0], strict=True))
    panels = figure.axes[:3]
    for axes, plane in zip(panels, ("axial", "coronal", "sagittal"), strict=True):
        name, said = axes.get_title().split(", ")
        assert name == plane
        letter, index = said.split(" = ")
        assert place[letter] == int(index)
    assert figure._suptitle.get_text() == "case 7"
    for panel, wanted in enumerate(((0.75, 0.2), (0.75, 0.25), (0.2, 0.25))):  # from the left and from the top
        rows, columns = np.nonzero(is_coloured(drawn(figure, panel)))
        assert (columns.mean() + 0.5) / WIDTH == pytest.approx(wanted[0], abs=0.06)
        assert (rows.mean() + 0.5) / HEIGHT == pytest.approx(wanted[1], abs=0.06)
        assert outline_share(figure, panel) > 0.001
    boxes = [axes.get_window_extent() for axes in panels]
    mm = [(box.width / across, box.height / down) for box, (across, down) in
          zip(boxes, ((20, 30), (20, 16), (30, 16)), strict=True)]  # fmt: skip
    np.testing.assert_allclose(mm, mm[0][0], rtol=0.03)


def test_planes_go_through_the_voxel_that_is_asked_for():
    volume = gradient_image()[..., None].repeat(1, 1, 1, 8)
    explanation = torch.zeros_like(volume)
    explanation[..., 5] = corner_square()
    figure = overlay_figure(volume, explanation, voxel=(26, 2, 5))
    assert [axes.get_title() for axes in figure.axes[:3]] == ["axial, z = 5", "coronal, y = 2", "sagittal, x = 26"]
    assert is_coloured(drawn(figure, 0))[:5, 24:].all()  # without an affine the axes are left, back and top
    assert not is_coloured(drawn(overlay_figure(volume, explanation, voxel=(3, 15, 2)), 0)).any()
    with pytest.raises(ValueError, match=r"voxel must be three indices in a volume of \(30, 20, 8\), got \(0, 20, 0\)"):
        overlay_figure(volume, explanation, voxel=(0, 20, 0))


def test_several_channels_are_drawn_as_their_mean():
    image = torch.cat([gradient_image(), 1 - gradient_image().flip(1), torch.rand(1, WIDTH, HEIGHT)])
    zeros = torch.zeros(1, WIDTH, HEIGHT)
    expected = drawn(overlay_figure(image.mean(dim=0, keepdim=True), zeros), 0)
    np.testing.assert_array_equal(drawn(overlay_figure(image, zeros), 0), expected)


def grid_columns(count: int = 2) -> dict[str, torch.Tensor]:
    image = gradient_image().repeat(count, 1, 1, 1)
    square = corner_square().repeat(count, 1, 1, 1)
    return {
        "image": image,
        "adversarial": 0.5 * image,
        "explanation": square * torch.linspace(1, 0.5, count).reshape(-1, 1, 1, 1),
        "overlay": square,
        "ground truth": square,
    }


def test_a_grid_names_its_columns_and_rows_and_has_one_colour_bar():
    figure = picture_grid(grid_columns(), row_titles=["first", "second"], units="change")
    assert len(figure.axes) == 2 * 5 + 1
    assert [axes.get_title() for axes in figure.axes[:10]] == [*grid_columns(), *[""] * 5]
    assert [figure.axes[i].get_ylabel() for i in (0, 5, 10)] == ["first", "second", "change"]


def test_a_grid_draws_each_column_in_its_own_way():
    figure = picture_grid(grid_columns())
    image, adversarial, explanation, overlay, truth = (drawn(figure, i) for i in range(5))
    assert not is_coloured(image).any()
    assert not is_coloured(adversarial).any()
    np.testing.assert_allclose(explanation[2, 27], HEAT(1.0)[:3], atol=0.01)
    np.testing.assert_allclose(explanation[15, 5], HEAT(0.0)[:3], atol=0.01)
    assert is_coloured(overlay)[:5, 24:].all()
    np.testing.assert_array_equal(overlay[5:], image[5:])
    np.testing.assert_array_equal(truth[10:, :20], image[10:, :20])
    assert [outline_share(figure, i) > 0.001 for i in range(5)] == [False, False, False, False, True]


def test_grey_pictures_of_a_row_share_one_window_whatever_their_order():
    columns = grid_columns(1)
    figure = picture_grid({"adversarial": columns["adversarial"], "image": columns["image"]})
    adversarial, image = drawn(figure, 0), drawn(figure, 1)
    np.testing.assert_allclose(adversarial[10, 10], 0.5 * image[10, 10], atol=0.04)


def test_explanations_of_all_rows_share_one_scale():
    figure = picture_grid(grid_columns())
    np.testing.assert_allclose(drawn(figure, 7)[2, 27], HEAT(0.5)[:3], atol=0.01)


def test_a_grid_of_volumes_shows_the_same_slice_in_all_columns_of_a_row():
    image = torch.zeros(2, 1, WIDTH, HEIGHT, 6)
    explanation = torch.zeros_like(image)
    for row, index in enumerate((4, 1)):
        image[row, 0, :, :, index] = gradient_image()[0]
        explanation[row, 0, 24:, :5, index] = 1
    figure = picture_grid({"image": image, "explanation": explanation}, row_titles=["a", "b"])
    assert [figure.axes[i].get_ylabel() for i in (0, 2)] == ["a\nslice 4", "b\nslice 1"]
    assert np.ptp(drawn(figure, 2)) > 0.5
    without = picture_grid({"image": image})
    assert [axes.get_ylabel() for axes in without.axes] == ["slice 3", "slice 3"]


def test_saving_writes_a_whole_picture_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "overlay.png"
    for dpi in (50, 100):
        save_figure(overlay_figure(gradient_image(), corner_square()), path, dpi=dpi)
        assert [entry.name for entry in path.parent.iterdir()] == ["overlay.png"]
        with Image.open(path) as picture:
            picture.load()
            assert 2.5 * dpi < picture.width < 4.5 * dpi


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "overlay.png"
    path.write_bytes(b"old")
    figure = overlay_figure(gradient_image(), corner_square())

    def fail_halfway(target, **kwargs):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", fail_halfway)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["overlay.png"]


def test_drawing_leaves_pyplot_and_the_inputs_alone():
    from matplotlib import pyplot

    columns = grid_columns()
    copies = {name: batch.clone() for name, batch in columns.items()}
    picture_grid(columns)
    assert pyplot.get_fignums() == []
    assert all(torch.equal(columns[name], copies[name]) for name in columns)


def test_shapes_that_do_not_fit_are_refused():
    image, square = gradient_image(), corner_square()
    with pytest.raises(ValueError, match=r"image must have shape .* got \(30, 20\)"):
        overlay_figure(image[0], square)
    with pytest.raises(ValueError, match=r"explanation must have the image's spatial shape \(30, 20\), got \(20, 30\)"):
        overlay_figure(image, square.mT)
    with pytest.raises(ValueError, match=r"mask must have the image's spatial shape"):
        overlay_figure(image, square, mask=square[:, :5])
    with pytest.raises(ValueError, match=r"one length and spatial shape, got \{'image': \(1, 30, 20\)"):
        picture_grid({"image": image[None], "similar": image.mT[None]})
    with pytest.raises(ValueError, match="at least one image"):
        picture_grid({"image": image[None][:0]})
    with pytest.raises(ValueError, match="row_titles must be 1 texts, one an image, got 2"):
        picture_grid({"image": image[None]}, row_titles=["a", "b"])
    with pytest.raises(ValueError, match=r"columns must hold .image. .* got \['overlay'\]"):
        picture_grid({"overlay": square[None]})
