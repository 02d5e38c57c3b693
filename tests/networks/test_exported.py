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

"""Exported programs as classifiers: what holds of them, and one clear line where it does not."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.export import Dim

from monai_advexplain.explainers import GradCAMExplainer, UnsupportedClassifierError
from monai_advexplain.networks import ExportedNetwork, load_classifier
from tests.small import assert_unchanged, classifier, images, snapshot

DYNAMIC = {0: Dim.DYNAMIC}


def export(net, path, dynamic=DYNAMIC, example=None):
    """The path, to which the network is exported."""
    example = images() if example is None else example
    torch.export.save(torch.export.export(net, (example,), dynamic_shapes=(dynamic,) if dynamic else None), path)
    return path


@pytest.mark.parametrize("dims", [2, 3])
def test_logits_and_gradients_are_those_of_the_network_for_any_batch(tmp_path, dims):
    net = classifier(dims)
    loaded = load_classifier(export(net, tmp_path / "classifier.pt2", example=images(dims=dims)))
    for batch in (1, 2, 5):
        x = images(batch, dims=dims).requires_grad_(True)
        logits, wanted = loaded(x), net(x)
        torch.testing.assert_close(logits, wanted)
        torch.testing.assert_close(torch.autograd.grad(logits.sum(), x)[0], torch.autograd.grad(wanted.sum(), x)[0])


def test_a_loaded_program_is_frozen_and_its_mode_can_be_set_without_effect(tmp_path):
    loaded = load_classifier(export(classifier(), tmp_path / "classifier.pt2"))
    before = snapshot(loaded)
    assert not any(p.requires_grad for p in loaded.parameters())
    assert loaded.eval() is loaded.train() is loaded
    assert not loaded.training
    loaded(images(3))
    assert_unchanged(loaded, before)


def test_a_copy_and_a_program_of_any_suffix_work_alike(tmp_path):
    loaded = load_classifier(export(classifier(), tmp_path / "classifier.pt2").rename(tmp_path / "classifier.bin"))
    torch.testing.assert_close(copy.deepcopy(loaded)(images()), classifier()(images()))


def test_sizes_are_free_where_the_export_says_so(tmp_path):
    path = export(classifier(), tmp_path / "classifier.pt2", dict.fromkeys((0, 2, 3), Dim.DYNAMIC))
    x = torch.rand(1, 1, 20, 24)
    assert torch.allclose(load_classifier(path)(x), classifier()(x), atol=1e-6)


def test_a_batch_of_one_size_is_refused_with_what_to_export(tmp_path):
    path = export(classifier(), tmp_path / "classifier.pt2", dynamic=None)
    with pytest.raises(ValueError, match=r"classifier\.pt2 takes batches of 2 image\(s\) only: export it with dynamic"):
        load_classifier(path)


@pytest.mark.parametrize("part", [nn.BatchNorm2d(1), nn.Dropout(0.5), nn.InstanceNorm2d(1, track_running_stats=True)])
def test_a_program_in_training_mode_is_refused_since_it_would_change_or_guess(tmp_path, part):
    net = nn.Sequential(part, nn.Flatten(), nn.Linear(192, 1)).train()
    with pytest.raises(ValueError, match=r"exported in training mode \(aten\..*call eval\(\) before"):
        load_classifier(export(net, tmp_path / "classifier.pt2"))
    assert load_classifier(export(net.eval(), tmp_path / "again.pt2"))(images()).shape == (2, 1)


def test_statistics_of_the_image_itself_are_no_training_mode(tmp_path):
    net = nn.Sequential(
        nn.InstanceNorm2d(1), nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten(), nn.Linear(192, 1)
    )
    assert load_classifier(export(net.eval(), tmp_path / "classifier.pt2"))(images()).shape == (2, 1)


def test_another_number_of_inputs_is_refused():
    class Two(nn.Module):
        def forward(self, image, age):
            return image.flatten(1).mean(1) + age

    program = torch.export.export(Two(), (images(), torch.ones(2)))
    with pytest.raises(ValueError, match=r"takes 2 inputs .*wanted one, the images"):
        ExportedNetwork(program)


def test_an_image_of_another_size_is_refused_with_both_shapes(tmp_path):
    loaded = load_classifier(export(classifier(), tmp_path / "classifier.pt2"))
    wanted = r"classifier\.pt2 was exported for images of shape \(any, 1, 16, 12\), got \(1, 1, 8, 8\)"
    with pytest.raises(ValueError, match=wanted):
        loaded(torch.rand(1, 1, 8, 8))


def test_a_program_without_a_gradient_says_so_where_one_is_wanted_and_still_classifies(tmp_path):
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = classifier()

        def forward(self, image):
            with torch.no_grad():
                return self.net(image)

    loaded = load_classifier(export(Detached(), tmp_path / "classifier.pt2"))
    torch.testing.assert_close(loaded(images()), classifier()(images()))
    with pytest.raises(RuntimeError, match=r"classifier\.pt2 has no gradient with respect to the image"):
        loaded(images().requires_grad_(True))


def test_a_package_of_something_else_is_refused_by_name(tmp_path):
    from torch.export.pt2_archive._package import PT2ArchiveWriter

    with PT2ArchiveWriter(str(tmp_path / "empty.pt2")):
        pass
    with pytest.raises(ValueError, match=r"empty\.pt2 cannot be read as an exported program by torch \d"):
        load_classifier(tmp_path / "empty.pt2")


def test_cam_methods_say_that_the_layers_are_gone(tmp_path):
    loaded = load_classifier(export(classifier(), tmp_path / "classifier.pt2"))
    with pytest.raises(UnsupportedClassifierError, match="CAM methods read feature maps"):
        GradCAMExplainer(loaded)(images())
