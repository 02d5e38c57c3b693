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

"""Command line: ``python -m monai_advexplain {demo,phantom,plant,patches,explain,compare,seeds,check,speed}``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m monai_advexplain", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="the whole method on phantom radiographs, in minutes on a CPU")
    demo.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for all results")
    demo.add_argument(
        "--bundle", type=Path, default=Path("bundles/chest_xray_advexplain"), help="chest bundle's folder"
    )
    demo.add_argument("--quick", action="store_true", help="a run of seconds that only shows that everything runs")
    demo.add_argument("--seed", type=int, default=0)
    phantom = commands.add_parser("phantom", help="write images of phantoms with lesions of known place")
    phantom.add_argument("output", type=Path, help="folder to write")
    phantom.add_argument(
        "--kind",
        choices=("chest", "head", "shapes"),
        default="chest",
        help="chest: radiographs as DICOM in the RSNA challenge's layout; head: NIfTI volumes and a datalist; shapes: "
        "PNG images of three classes and a datalist",
    )
    phantom.add_argument("--images", type=int, help="number of images; default: 600 chests, 400 heads, 900 shapes")
    phantom.add_argument(
        "--size", type=int, help="pixels along each axis; default: 128 (chest), 48 (head), 64 (shapes)"
    )
    phantom.add_argument("--multi-label", action="store_true", help="shapes: both may be in an image, two labels")
    phantom.add_argument("--confounder", type=float, help="0 to 1: how a marker in a chest's corner follows the label")
    phantom.add_argument("--seed", type=int, default=0)
    plant = commands.add_parser("plant", help="write volumes of a Decathlon task with and without planted lesions")
    plant.add_argument("decathlon_dir", type=Path, metavar="DECATHLON_DIR", help="folder with dataset.json")
    plant.add_argument("output", type=Path, metavar="OUTPUT", help="folder to write: NIfTI volumes and a datalist")
    plant.add_argument("--share", type=float, default=0.5, help="of the volumes with lesions")
    plant.add_argument("--versions", type=int, default=4, help="volumes for each case")
    plant.add_argument("--seed", type=int, default=0)
    patches = commands.add_parser("patches", help="cut patches with and without lesion, one patient left out for tests")
    patches.add_argument("dataset_dir", type=Path, help="folder of patients with flair.nii.gz and lesions.nii.gz")
    patches.add_argument("output", type=Path, help="folder to write: NIfTI volumes and a datalist")
    patches.add_argument("--held-out", required=True, help="name of the patient's folder that is the test section")
    patches.add_argument("--size", type=int, default=32, help="voxels along each axis")
    patches.add_argument("--count", type=int, default=200, help="patches of a patient")
    patches.add_argument("--seed", type=int, default=0)
    explain = commands.add_parser("explain", help="images through a bundle: maps, pictures and scores as files")
    explain.add_argument(
        "inputs",
        nargs="*",
        type=Path,
        metavar="INPUT",
        help="file, folder (a DICOM series, or many) or datalist (.json)",
    )
    explain.add_argument("--from-dicomweb", metavar="URL", help="explain a study of a PACS instead of an INPUT")
    explain.add_argument("--study", metavar="UID", help="its Study Instance UID")
    explain.add_argument("--store", action="store_true", help="store the DICOM results in that study")
    explain.add_argument("--bundle", type=Path, required=True, help="bundle's folder, with configs/inference.json")
    explain.add_argument("--output", type=Path, required=True, help="folder for all results")
    explain.add_argument(
        "--formats",
        default="nifti,png",
        help="of nifti, png, dicom-pm (Parametric Map), dicom-seg (Segmentation) and dicom-sc (Secondary Capture), "
        "with commas between; default: nifti,png",
    )
    explain.add_argument(
        "--threshold",
        default="5%",
        help="what dicom-seg marks: voxels above a value of the map (0.1) or a share of the highest (5%%, the default)",
    )
    explain.add_argument("--overwrite", action="store_true", help="replace results in the output folder")
    explain.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any entry of inference.json, for instance inferer#sw_batch_size=4",
    )
    explain.add_argument(
        "--backend",
        choices=("torch", "torchscript", "onnx", "openvino"),
        default="torch",
        help="what runs the explainer; exported beside its weights when it is used first (docs/exports.md)",
    )
    compare = commands.add_parser("compare", help="explanation methods side by side: table, intervals and report")
    compare.add_argument("--bundle", type=Path, required=True, help="bundle's folder, with configs/compare.json")
    compare.add_argument("--dataset_dir", type=Path, required=True, help="folder of the data")
    compare.add_argument("--output", type=Path, help="folder for all results; default: the bundle's output/compare")
    compare.add_argument("--methods", help="names from compare.json, with commas between; default: all")
    compare.add_argument("--split", choices=("training", "validation", "test"), help="default: the bundle's, test")
    compare.add_argument("--n", type=int, help="number of transformations of the regularisation")
    compare.add_argument("--limit", type=int, help="compare on the first images only")
    compare.add_argument("--overwrite", action="store_true", help="lose another comparison in the output folder")
    compare.add_argument("--allow-training-images", action="store_true", help="compare on images that were trained on")
    compare.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any entry of the configs, for instance seed=1"
    )
    seeds = commands.add_parser("seeds", help="comparisons by networks of several training seeds, as one table")
    seeds.add_argument("results", nargs="+", type=Path, metavar="RESULTS_JSON", help="of compare, one for each seed")
    check = commands.add_parser("check", help="sanity checks of a bundle's explanations, and a scorecard of them")
    check.add_argument("--bundle", type=Path, required=True, help="bundle's folder, with configs/check.json")
    check.add_argument("--dataset_dir", type=Path, help="folder of the data; default: the bundle's")
    check.add_argument("--output", type=Path, help="folder for all results; default: the bundle's output/check")
    check.add_argument("--quick", action="store_true", help="a run of seconds that only shows that everything runs")
    check.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting of check.json, for instance explainer#epochs=4 or bundle#image_size=[64,64]",
    )
    speed = commands.add_parser("speed", help="time a bundle's methods on a ResNet-50, one image at a time, on the CPU")
    speed.add_argument("--bundle", type=Path, default=Path("bundles/chest_xray_advexplain"), help="bundle's folder")
    speed.add_argument("--size", type=int, default=224, help="columns and rows")
    speed.add_argument("--repeats", type=int, default=20, help="turns")
    speed.add_argument("--backends", action="store_true", help="time the backends of the bundle's explainer instead")
    return parser


def _compare(options: argparse.Namespace) -> None:
    from monai_advexplain.benchmark.command import run_compare

    results = run_compare(
        options.bundle,
        options.dataset_dir,
        methods=[name.strip() for name in options.methods.split(",")] if options.methods else (),
        settings=options.set,
        comparison_dir=None if options.output is None else str(options.output),
        split=options.split,
        n_transforms=options.n,
        limit=options.limit,
        overwrite=options.overwrite or None,
        allow_training_images=options.allow_training_images or None,
    )
    folder = Path(results["settings"]["output_dir"])
    print("\n" + "\n".join(results["verdict"]))
    print(f"\nTable:  {folder / 'table.csv'}\nReport: {folder / 'report.html'}")


def _check(options: argparse.Namespace) -> None:
    from monai_advexplain.sanity import run_check

    folder = options.output or options.bundle / "output" / "check"
    card = run_check(options.bundle, options.dataset_dir, folder, options.set, options.quick)
    print("\n" + "\n".join(card["verdict"]))
    print(f"\nScorecard: {folder / 'scorecard.json'}\nPage:      {folder / 'scorecard.html'}")


def _explain(options: argparse.Namespace) -> int:
    """Explain; returns the exit code."""
    from monai_advexplain.benchmark.command import key_values
    from monai_advexplain.inferers.explain_command import run_explain, run_explain_study
    from monai_advexplain.inferers.outputs import ExplanationFiles

    if bool(options.inputs) == bool(options.from_dicomweb):
        raise ValueError("name either an INPUT or --from-dicomweb URL.")
    if bool(options.from_dicomweb) != bool(options.study) or (options.store and not options.study):
        raise ValueError("--from-dicomweb URL, --study UID and --store belong together.")
    formats = [name.strip() for name in options.formats.split(",")]
    files = ExplanationFiles(options.output, formats, options.threshold, options.overwrite)
    rest = (options.bundle, files, key_values(options.set), options.backend)
    if options.study:
        failed = run_explain_study(options.from_dicomweb, options.study, *rest, store_results=options.store)
    else:
        failed = run_explain(options.inputs, *rest)
    return 1 if failed else 0


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others have the defaults of the function that takes them."""
    return {name: value for name, value in options.items() if value is not None}


def _write_data(options: argparse.Namespace) -> str:
    """Write a data set; returns what to say about it."""
    from monai_advexplain import data

    if options.command == "plant":
        folder = data.plant_lesions(
            options.decathlon_dir, options.output, options.seed, options.share, versions=options.versions
        )
    elif options.command == "patches":
        folder = data.cut_patches(
            options.dataset_dir, options.output, options.held_out, options.size, options.count, options.seed
        )
    elif options.kind != "chest" and options.confounder is not None:
        raise ValueError("--confounder is for --kind chest only.")
    elif options.kind != "shapes" and options.multi_label:
        raise ValueError("--multi-label is for --kind shapes only.")
    elif options.kind == "head":
        given = _given(n_volumes=options.images, size=options.size)
        folder = data.write_head_phantom(options.output, seed=options.seed, **given)
    elif options.kind == "shapes":
        given = _given(n_images=options.images, size=options.size)
        folder = data.write_shapes_phantom(options.output, seed=options.seed, multi_label=options.multi_label, **given)
    else:
        given = _given(n_images=options.images, size=options.size, confounder=options.confounder)
        folder = data.write_chest_phantom(options.output, seed=options.seed, **given)
    return f"{len(list(folder.glob('*images/*')))} images in {folder}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "demo":
            from monai_advexplain.benchmark.demo import run_demo

            table = run_demo(options.output, options.bundle, options.quick, options.seed)
            results = options.output / "eval"
            print(f"\n{table}\n\nPictures: {results / 'pictures.png'}\nMetrics:  {results / 'metrics.json'}")
        elif options.command == "explain":
            return _explain(options)
        elif options.command == "compare":
            _compare(options)
        elif options.command == "seeds":
            from monai_advexplain.benchmark.seeds import over_seeds, seeds_table

            print(seeds_table(over_seeds(options.results)))
        elif options.command == "check":
            _check(options)
        elif options.command == "speed":
            from monai_advexplain.benchmark.speed import measure_backends, measure_speed, speed_table

            measure = measure_backends if options.backends else measure_speed
            print(speed_table(measure(options.bundle, options.size, repeats=options.repeats)))
        else:
            print(_write_data(options))
    except (ValueError, FileNotFoundError, FileExistsError, ConnectionError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "stopped" + ("; the same command goes on from here" if options.command in ("compare", "check") else ""),
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
