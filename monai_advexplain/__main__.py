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

"""Command line: ``python -m monai_advexplain {demo,phantom,compare,speed}``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


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
    phantom = commands.add_parser("phantom", help="write chest phantoms as DICOM in the RSNA challenge's layout")
    phantom.add_argument("output", type=Path, help="folder to write")
    phantom.add_argument("--images", type=int, default=600, help="number of images")
    phantom.add_argument("--size", type=int, default=128, help="columns and rows")
    phantom.add_argument("--confounder", type=float, default=0.0, help="0 to 1: how a corner marker follows the label")
    phantom.add_argument("--seed", type=int, default=0)
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
    speed = commands.add_parser("speed", help="time a bundle's methods on a ResNet-50, one image at a time, on the CPU")
    speed.add_argument("--bundle", type=Path, default=Path("bundles/chest_xray_advexplain"), help="bundle's folder")
    speed.add_argument("--size", type=int, default=224, help="columns and rows")
    speed.add_argument("--repeats", type=int, default=20, help="turns")
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "demo":
            from monai_advexplain.benchmark.demo import run_demo

            table = run_demo(options.output, options.bundle, options.quick, options.seed)
            results = options.output / "eval"
            print(f"\n{table}\n\nPictures: {results / 'pictures.png'}\nMetrics:  {results / 'metrics.json'}")
        elif options.command == "compare":
            _compare(options)
        elif options.command == "speed":
            from monai_advexplain.benchmark.speed import measure_speed, speed_table

            print(speed_table(measure_speed(options.bundle, options.size, repeats=options.repeats)))
        else:
            from monai_advexplain.data import write_chest_phantom

            folder = write_chest_phantom(
                options.output, options.images, options.size, confounder=options.confounder, seed=options.seed
            )
            print(f"{options.images} images in {folder}")
    except (ValueError, FileNotFoundError, FileExistsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "stopped" + ("; the same command goes on from here" if options.command == "compare" else ""),
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
