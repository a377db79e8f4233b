"""Commands of the training pipeline: ``python -m faceloupe.training prepare|train|register``."""

import argparse
import sys
from pathlib import Path

from faceloupe.config import weights_folder
from faceloupe.errors import FaceLoupeError


def _prepare(options: argparse.Namespace) -> None:
    from faceloupe.training import data

    items = data.read_index(options.data / "stills.csv")
    found = []
    for item in data.find_faces(options.data, items):
        found.append(item)
        if len(found) % 1000 == 0:
            print(f"{len(found)} of {len(items)} pictures", flush=True)
    data.write_faces(found, options.work / "faces.csv")
    print(f"{sum(item.found for item in found)} of {len(found)} faces found")


def _train(options: argparse.Namespace) -> None:
    from faceloupe.training import data, settings, train

    items = data.read_index(options.work / "faces.csv")
    recipe = settings.PROFILES[options.profile]
    places = {"trunk": options.trunk, "work": options.work, "device": options.device}
    weights = train.train(recipe, options.data, items, **places)
    print(f"wrote {weights}")


def _register(options: argparse.Namespace) -> None:
    from faceloupe.training import calibrate, card, data, settings

    items = data.read_index(options.work / "faces.csv")
    weights = options.work / "weights.safetensors"
    record = calibrate.register(settings.PROFILES[options.profile], options.data, items, weights, options.weights)
    card.write(record, options.weights / f"{record.id}.md")
    print(card.validation_table(record))
    print(f"registered {record.id} in {options.weights}")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m faceloupe.training", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/training"), help="folder for intermediate results")
    commands = parser.add_subparsers(required=True)
    material = argparse.ArgumentParser(add_help=False)
    material.add_argument("--data", type=Path, required=True, help="folder that holds stills.csv and the stills")
    recipe = argparse.ArgumentParser(add_help=False)
    recipe.add_argument("--profile", choices=["full", "finish", "smoke"], default="full", help="training recipe")
    prepare = commands.add_parser("prepare", parents=[material], help="find the face of every still")
    prepare.set_defaults(run=_prepare)
    train = commands.add_parser("train", parents=[material, recipe], help="train the network")
    train.add_argument(
        "--trunk", type=Path, required=True, help="weights to start from: the ImageNet trunk, or a whole network"
    )
    train.add_argument("--device", default="cuda" if _has_gpu() else "cpu")
    train.set_defaults(run=_train)
    register = commands.add_parser("register", parents=[material, recipe], help="calibrate, measure, write the record")
    register.add_argument("--weights", type=Path, default=weights_folder(), help="folder of the model registry")
    register.set_defaults(run=_register)
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except FaceLoupeError as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
