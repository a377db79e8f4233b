"""From looks to records: who judges whom, and the whole stage on a few made-up faces."""

import csv
import dataclasses
import math
import shutil

import numpy as np
import pytest
import torch

from faceloupe.config import QUICK_MODEL, weights_folder
from faceloupe.errors import DatasetError, WeightsError
from faceloupe.evaluation import source_rows
from faceloupe.models.encoder import ROWS, WIDTH
from faceloupe.models.loading import load_proportions
from faceloupe.models.record import find_record, read_registry
from faceloupe.models.registry import read_entries
from faceloupe.training import (
    core_answers,
    cross_fitting,
    expert_card,
    expert_records,
    expert_stage,
    plans,
    proportions,
    register,
)
from faceloupe.training.cross_fitting import CrossAnswers
from faceloupe.training.expert_tables import Verdicts, by_condition, by_source
from faceloupe.training.features import Features
from faceloupe.training.heads import HeadSettings
from faceloupe.training.looks import CHANGED, GENERATED, NOT_SEEN, PHOTO, gather
from faceloupe.training.material import Entry, Still
from faceloupe.training.plans import ANY, ExpertSettings, HeadPlan
from faceloupe.training.proportions import ProportionSettings
from faceloupe.training.regions import Region
from faceloupe.types import Box

SETTINGS = HeadSettings(rows=("class 9", "mean 8"), width=12, examples=100, decay=1e-2)
PLANS = (
    HeadPlan("generated", "widest", GENERATED, (1.7, math.inf), (1.7, math.inf), SETTINGS),
    HeadPlan("generated-close", "tight", GENERATED, (0.0, 1.7), settings=SETTINGS),
    HeadPlan("changed", "tight", CHANGED, settings=SETTINGS),
    HeadPlan("neighbors", "tight", ANY, settings=dataclasses.replace(SETTINGS, remembered=60)),
)
EXPERT = ExpertSettings(9, PLANS, changed=("swaps",), families={"nets_rest": "nets"})
# source -> label, repository and whether its pictures show the surroundings of the face
SOURCES = {
    "photos": (0, "", False),
    "studio": (0, "a/studio", True),
    "phones": (0, "a/phones", True),
    "press": (0, "a/press", False),
    "nets": (1, "", False),
    "nets_rest": (1, "b/nets", False),
    "prompts": (1, "b/prompts", True),
    "painter": (1, "b/painter", True),
    "swaps": (1, "b/swaps", False),
}


def still(source: str, number: int, split: str) -> Still:
    label, repository, _ = SOURCES[source]
    blob = f"{len(source)}{number:03d}{sum(map(ord, source)):05d}".ljust(40, "0")
    path = f"{source}/{split}/{number}.jpg"
    person = f"{split} {number % 2}" if source == "swaps" else ""
    return Still(Entry(split, source, label, "", person, "", repository, blob, path), 100, 100, "", "0", "0")


@pytest.fixture(scope="module")
def made() -> expert_stage.Material:
    """Faces of each source in each split; one direction separates photographs, and another swaps, from the rest."""
    random = np.random.default_rng(0)
    stills = [
        still(source, number, split)
        for source in SOURCES
        for number, split in enumerate(["train"] * 12 + ["val"] * 8 + ["cross"] * 3)
    ]
    regions, ids, views, values = {}, [], [], []
    for picture in stills:
        label, _, roomy = SOURCES[picture.entry.source]
        landmarks = (40.0, 50.0, 80.0, 50.0, 60.0, 70.0, 45.0, 90.0, 75.0, 90.0) if roomy else ()
        regions[picture.id] = Region(
            picture.id, "", 200 if roomy else 120, 1.0, 300, 300, 1.0, Box(10.0, 10.0, 110.0, 110.0), landmarks
        )
        shift = np.zeros((len(ROWS), WIDTH))
        shift[ROWS.index("mean 8"), 40 * (picture.entry.source == "swaps") :][:40] = 2.0 * label
        training = picture.entry.split == "train"
        blended = ("blended/as-is",) if training and picture.entry.source == "phones" else ()
        for treatment in ("as-is", "heavy-1", *blended) if training else ("as-is", "768", "512"):
            for crop in ("tight", "widest") if roomy and treatment not in blended else ("tight",):
                ids.append(picture.id)
                views.append(f"{crop}/{treatment}")
                values.append(random.normal(size=(len(ROWS), WIDTH)) + shift)
    count = len(ids)
    cache = Features(
        np.array(ids),
        np.array(views),
        np.full(count, 80.0),
        np.full(count, 1.3),
        np.array(values, np.float16),
        "abc",
    )
    looks = gather(stills, regions, cache, changed=EXPERT.changed, families=EXPERT.families)
    fixed = np.isin(looks.treatments, ("as-is", "768", "512"))
    core = CrossAnswers(*(np.where(fixed, random.normal(size=len(looks)), math.nan) for _ in range(2)))
    return expert_stage.Material(
        looks,
        cache,
        {still.id: still for still in stills},
        regions,
        {},
        weights_folder(),
        core,
    )


@pytest.fixture(scope="module")
def fitted(made):
    return made.looks.where(made.looks.splits != "cross")


@pytest.fixture(scope="module")
def answers(made, fitted):
    return [cross_fitting.cross_fit(plan, fitted, made.cache.values) for plan in PLANS]


def test_a_look_knows_where_it_comes_from(made):
    looks = made.looks
    assert set(looks.kinds[looks.sources == "swaps"]) == {CHANGED}
    assert set(looks.kinds[looks.sources == "prompts"]) == {GENERATED}
    assert set(looks.kinds[looks.labels == 0]) == {PHOTO}
    blended = looks.treatments == "blended/as-is"
    assert set(looks.kinds[blended]) == {CHANGED}
    assert (set(looks.sources[blended]), set(looks.families[blended])) == ({"self_blends"}, {"phones"})
    assert set(looks.families[looks.sources == "nets_rest"]) == {"nets"}
    assert (looks.widest[looks.context < 1.7] == NOT_SEEN).all()


def test_heads_learn_from_faces_that_they_are_there_for_and_never_from_those_held_out(made):
    looks = made.looks
    for plan in PLANS:
        training = plan.training(looks)
        assert not (looks.splits[training] == "cross").any()
        assert set(looks.kinds[training]) == {PHOTO, *((GENERATED, CHANGED) if plan.kind == ANY else (plan.kind,))}
        assert set(looks.treatments[training]) <= {"as-is", "heavy-1", "blended/as-is"}
        assert (looks.sources[training] == "self_blends").any() == (plan.kind == CHANGED)
    assert (looks.context[PLANS[0].training(looks)] >= 1.7).all()
    assert (looks.context[PLANS[1].training(looks)] >= 1.7).any()
    assert not (PLANS[0].speaks(looks) & PLANS[1].speaks(looks)).any()


def test_no_head_judges_a_family_or_a_person_that_it_saw(made, fitted, monkeypatch):
    seen: list[np.ndarray] = []
    true_fit = cross_fitting.heads.fit

    def fit(inputs, labels, sources, settings):
        seen.append(sources)
        return true_fit(inputs, labels, sources, settings)

    monkeypatch.setattr(cross_fitting.heads, "fit", fit)
    answer = cross_fitting.cross_fit(PLANS[1], fitted, made.cache.values)
    folds = cross_fitting.family_fold(fitted.families)
    by_family = seen[: len(np.unique(folds))]
    assert len(seen[-1]) == answer.training.sum()
    for number, sources in zip(np.unique(folds), by_family, strict=True):
        left_out = set(fitted.families[folds == number])
        assert not {EXPERT.families.get(source, source) for source in sources} & left_out


def test_every_look_is_judged_by_those_who_may(made, fitted, answers):
    core = made.core.where(made.looks.splits != "cross")
    judged = expert_records.evidence(fitted, (plans.CORE, *PLANS), (core, *answers))
    families, kinds = fitted.families[judged.index], fitted.kinds[judged.index]
    by_family = judged.unseen & (families != "swaps")
    np.testing.assert_array_equal(judged.logits[by_family, 0], core.unseen[judged.index[by_family]])
    np.testing.assert_array_equal(judged.logits[~by_family, 0], core.strangers[judged.index[~by_family]])
    assert judged.unseen[kinds == CHANGED].all()
    assert set(fitted.treatments[judged.index]) == {"as-is"}  # what was blended for training is not judged
    assert judged.unseen[(families == "phones") & (fitted.splits[judged.index] == "val")].any()
    roomy = fitted.context[judged.index] >= 1.7
    assert np.isnan(judged.logits[~roomy, 1]).all()
    assert np.isnan(judged.logits[roomy, 2]).all()
    assert np.isfinite(judged.logits[:, 3][kinds == CHANGED]).all()
    np.testing.assert_array_equal(
        judged.logits[kinds == CHANGED, 3], answers[2].strangers[judged.index[kinds == CHANGED]]
    )


def test_the_share_of_a_class_in_cllr_and_the_auc_of_a_source_are_what_they_say():
    labels = np.array([0, 0, 1, 1])
    verdicts = Verdicts(
        labels,
        np.array(["a", "b", "c", "c"]),
        np.array([-1.0, 1.0, 2.0, 0.0]),
        np.array([False, True, True, False]),
        np.array([True, False, False, False]),
    )
    rows = {(row.source, row.label): row for row in by_source(verdicts, "as is")}
    assert rows["c", "manipulated"].auc == pytest.approx(0.75)
    assert rows["b", "authentic"].auc == pytest.approx(0.5)
    assert (rows["all", "authentic"].faces, rows["all", "authentic"].manipulated) == (2, 1)
    assert rows["a", "authentic"].cost == pytest.approx(math.log2(1.0 + math.exp(-1.0)), abs=1e-3)


def test_faces_are_counted_by_pose_and_size_and_those_of_unknown_pose_by_size_alone():
    nothing = np.zeros(4, bool)
    verdicts = Verdicts(np.array([0, 1, 0, 1]), np.array(list("abab")), np.zeros(4), nothing, nothing)
    rows = by_condition(
        verdicts,
        yaw_deg=np.array([3.0, -40.0, math.nan, 15.0]),
        roll_deg=np.array([-20.0, 0.0, math.nan, 40.0]),
        face_px=np.array([50.0, 60.0, 150.0, 900.0]),
    )
    assert [(row.view, row.label, row.faces) for row in rows] == [
        ("turned to a side by 0 to 10°", "authentic", 1),
        ("turned to a side by 10 to 20°", "manipulated", 1),
        ("turned to a side by 35° and more", "manipulated", 1),
        ("tilted by 0 to 5°", "manipulated", 1),
        ("tilted by 12 to 30°", "authentic", 1),
        ("tilted by 30° and more", "manipulated", 1),
        ("face of 0 to 60 px", "authentic", 1),
        ("face of 60 to 100 px", "manipulated", 1),
        ("face of 100 to 200 px", "authentic", 1),
        ("face of 200 px and more", "manipulated", 1),
    ]


@pytest.fixture(scope="module")
def core_folder(tmp_path_factory):
    """Folder with the record and the weights of a core."""
    folder = tmp_path_factory.mktemp("core")
    for path in weights_folder().glob(f"{QUICK_MODEL}.*"):
        (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def stage(made, core_folder, tmp_path_factory):
    """The output folder of the stage, and its records; there are no pictures, so no heatmaps are drawn."""
    folder, registry = tmp_path_factory.mktemp("stage"), weights_folder()
    rows = [
        source_rows.SourceRow("all", label, f"{network}, {view}", 9, 4, 5, auc, 0.9)
        for network, auc in (("one", 0.625), ("another", 0.375))
        for view in ("left out", "held out")
        for label in ("authentic", "manipulated")
    ]
    source_rows.write_rows(rows, folder / expert_card.OTHERS)
    (folder / "core").mkdir()
    for name, auc in ((source_rows.LEFT_OUT, 0.75), (source_rows.HELD_OUT, 0.5)):
        of_core = [
            source_rows.SourceRow("all", label, "as is", 9, 4, 5, auc, 0.9) for label in ("authentic", "manipulated")
        ]
        source_rows.write_rows(of_core, folder / "core" / name)
    source_rows.write_owner(find_record(core_folder, QUICK_MODEL), folder / "core")
    made = dataclasses.replace(made, work=folder)
    row = torch.zeros(WIDTH)
    tensors = {"rows": torch.tensor([0]), "linear": row, "bias": torch.zeros(1), "limit": torch.ones(1)}
    proportions.write(tensors, ProportionSettings(), 30, folder / "proportions")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expert_stage._Workshop, "peak_of", lambda self, scorer, names: 0.5)
        records = expert_stage.make(
            made,
            EXPERT,
            core=core_folder,
            encoder=registry / "clip-vit-b16.safetensors",
            proportions=folder / "proportions",
            target=folder / "expert",
            docs=folder,
            core_docs=folder / "core",
        )
    return folder, records


def test_the_stage_makes_records_that_load_and_tables_by_source(stage):
    folder, records = stage
    stored = read_registry(folder / "expert")
    assert stored == {record.id: record for record in records}
    assert [record.id for record in records][-2:] == ["faceloupe-standard-9", "faceloupe-thorough-9"]
    fusion = stored["faceloupe-standard-9"]
    assert fusion.members[0] == QUICK_MODEL
    assert fusion.scope_limit > 0.0
    assert fusion.component == "faceloupe-proportions-1"
    assert sum(rates.n_real for rates in fusion.error_rates.by_size) > 0
    assert [rates.least_px for rates in fusion.error_rates.by_size] == sorted(
        {rates.least_px for rates in fusion.error_rates.by_size}
    )
    wide = stored["faceloupe-generated-9"]
    assert (wide.least_context, wide.most_context, wide.proposition) == (1.7, 0.0, "generated")
    with (folder / source_rows.HELD_OUT).open(newline="") as stream:
        held_out = list(csv.DictReader(stream))
    assert sum(int(row["faces"]) for row in held_out if row["source"] == "all" and row["view"] == "as is") == 27
    with (folder / expert_card.CONDITIONS).open(newline="") as stream:
        conditions = list(csv.DictReader(stream))
    sizes = [row for row in conditions if row["view"].startswith("face of")]
    ahead = {row["label"]: int(row["faces"]) for row in conditions if row["view"] == "turned to a side by 0 to 10°"}
    assert 0 < ahead["authentic"] < sum(int(row["faces"]) for row in sizes if row["label"] == "authentic")
    with (folder / source_rows.LEFT_OUT).open(newline="") as stream:
        left_out = sum(int(row["faces"]) for row in csv.DictReader(stream) if row["source"] == "all")
    assert sum(int(row["faces"]) for row in sizes) == left_out
    with (folder / expert_card.CLIPS).open(newline="") as stream:
        clips = {(row["source"], row["view"]): int(row["faces"]) for row in csv.DictReader(stream)}
    assert clips["swaps", "other people known"] == 2  # two more people have four frames each
    card = (folder / expert_card.CARD).read_text()
    assert "faceloupe-standard-9" in card
    assert "| swaps | as is | manipulated | 20 |" in card
    assert f"| source | as | truth | faceloupe-standard-9 | {QUICK_MODEL} | one | another |" in card
    beside = [line.split(" | ") for line in card.partition("## Compared with")[2].splitlines() if line.startswith("| ")]
    assert [row[4:] for row in beside if row[0] == "| all"] == [
        [auc, "0.625", "0.375 |"] for auc in ("0.75", "0.75", "0.5", "0.5")
    ]
    assert all(row[4:] == ["-", "-", "- |"] for row in beside[2:] if row[0] != "| all")


def test_the_card_refuses_the_tables_of_another_core(stage, tmp_path):
    folder, records = stage
    fusion = next(record for record in records if record.fusion)
    with pytest.raises(WeightsError, match="run `core` again"):
        expert_card.write([fusion, records[0]], folder, folder / "core")


def test_the_stage_asks_for_the_table_of_other_networks(made, tmp_path):
    with pytest.raises(DatasetError, match="run `others` first"):
        expert_stage.make(
            dataclasses.replace(made, work=tmp_path),
            EXPERT,
            core=weights_folder(),
            encoder=tmp_path,
            target=tmp_path / "expert",
            docs=tmp_path,
            core_docs=tmp_path,
        )


def test_the_same_looks_make_the_same_head(made, fitted, answers):
    again = cross_fitting.cross_fit(PLANS[1], fitted, made.cache.values)
    np.testing.assert_array_equal(again.unseen, answers[1].unseen)
    np.testing.assert_array_equal(again.head.weights.numpy(), answers[1].head.weights.numpy())


def test_a_head_without_faces_to_learn_from_or_to_be_judged_by_is_left_out_and_said_so(made, fitted):
    lines: list[str] = []
    close = fitted.where(fitted.context < 1.7)
    assert [expert_stage._fit(plan, close, made.cache.values, lines.append) for plan in PLANS[:2]] == [None, None]
    assert [line.partition(":")[0] for line in lines] == ["generated", "generated-close"]


def test_what_is_for_looking_only_is_refused(made, tmp_path):
    source_rows.write_rows([], tmp_path / expert_card.OTHERS)
    entry = next(iter(made.stills.values())).entry
    wrong = {
        name: dataclasses.replace(element, entry=dataclasses.replace(entry, split="cross"))
        for name, element in made.stills.items()
    }
    with pytest.raises(DatasetError, match="for looking only"):
        expert_stage.make(
            dataclasses.replace(made, stills=wrong, work=tmp_path),
            EXPERT,
            core=weights_folder(),
            encoder=tmp_path,
            target=tmp_path / "expert",
            docs=tmp_path,
            core_docs=tmp_path,
        )


def test_the_expert_is_installed_beside_its_core_and_replaces_the_former(stage, tmp_path):
    expert = tmp_path / "expert"
    shutil.copytree(stage[0] / "expert", expert)
    folder = tmp_path / "weights"
    folder.mkdir()
    core = find_record(weights_folder(), QUICK_MODEL)
    for name in (f"{core.id}.json", core.weights_file):
        (folder / name).symlink_to(weights_folder() / name)
    output = list(register.install_expert(expert, folder))
    assert "registered faceloupe-standard-9" in output
    assert set(read_registry(folder)) == {core.id, *read_registry(expert)}
    assert load_proportions(find_record(folder, "faceloupe-standard-9"), folder)
    assert "faceloupe-proportions-1" in read_entries(folder)
    (expert / "faceloupe-thorough-9.json").unlink()
    assert "removed faceloupe-thorough-9" in list(register.install_expert(expert, folder))
    (folder / f"{core.id}.json").unlink()
    with pytest.raises(DatasetError, match="was not made with the core"):
        list(register.install_expert(expert, folder))


def test_the_plans_are_typed():
    result = plans.parse_expert(
        {"version": 3, "heads": {"wide": {"crop": "widest", "kind": GENERATED, "context": [1.7, 0]}}, "changed": ["a"]}
    )
    assert result.plans[0].context == (1.7, math.inf)
    assert (result.version, result.changed) == (3, ("a",))
    with pytest.raises(DatasetError, match="no setting named depth"):
        plans.parse_expert({"version": 3, "depth": 1})
    with pytest.raises(DatasetError, match=r"expert\.heads\.wide"):
        plans.parse_expert({"version": 3, "heads": {"wide": {"crop": "widest", "kind": GENERATED, "width": 3}}})


def test_the_answers_of_the_core_are_read_in_the_order_of_the_looks_and_are_nan_where_there_are_none(made, tmp_path):
    path, looks = tmp_path / core_answers.FILE, made.looks
    with pytest.raises(DatasetError, match="run `core` first"):
        core_answers.read(path, looks)
    random = np.random.default_rng(1)
    answers = CrossAnswers(*random.normal(size=(2, len(looks))))
    last = looks.splits == "cross"
    core_answers.write([(looks.where(part), answers.where(part)) for part in (last, ~last)], path)
    backwards = np.arange(len(looks))[::-1]
    read = core_answers.read(path, looks.where(backwards))
    judged = np.isin(looks.treatments, ("as-is", "768", "512"))[backwards]
    assert 0 < judged.sum() < len(looks)
    for name in ("unseen", "strangers"):
        np.testing.assert_allclose(getattr(read, name)[judged], getattr(answers, name)[backwards][judged], atol=1e-5)
        assert np.isnan(getattr(read, name)[~judged]).all()
