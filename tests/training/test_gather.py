"""Gathering the large material: used, dropped and missing pictures, and that the result is reproducible."""

import csv
import hashlib
import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from faceloupe.errors import DatasetError
from faceloupe.media.similarity import perceptual_hash
from faceloupe.training import choosing, gather, material, sheets
from faceloupe.training.choosing import Cap, Caps
from faceloupe.training.material import Entry, Still
from faceloupe.training.snapshots import Snapshots, Why
from tests.training import large


@pytest.fixture
def sources(tmp_path) -> large.Material:
    return large.make(tmp_path)


def gathered(sources: large.Material, **more) -> gather.Gathered:
    sources.write()
    return gather.gather(sources.data, sources.snapshots, workers=more.pop("workers", 1), **more)


def locations(gathering: gather.Gathered) -> list[str]:
    return [still.entry.location for still in gathering.stills]


def test_everything_that_is_there_is_used_in_the_order_of_the_lists(sources):
    gathering = gathered(sources)
    assert locations(gathering) == [entry.location for entry in material.read_listing(sources.data).entries]
    assert (gathering.dropped, gathering.missing, gathering.notes) == ((), (), ())
    assert {(still.width, still.height) for still in gathering.stills} == {(40, 48)}


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_manifest_is_the_same_bytes_whatever_the_number_of_workers(sources, tmp_path, workers, monkeypatch):
    monkeypatch.setattr(gather, "_CHUNK", 2)
    for number in range(8):
        sources.still("train", "real", f"more{number}.png", large.picture(100 + number), group="anna")
    caps = Caps(Cap(pictures=7, person=5))
    paths = [tmp_path / f"{name}.csv" for name in ("first", "second")]
    for path, count in zip(paths, (1, workers), strict=True):
        material.write_manifest(gathered(sources, caps=caps, workers=count).stills, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert len(paths[0].read_text().splitlines()) == 1 + 11 + 5


def test_a_picture_of_a_snapshot_is_read_once(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(gather, "_CHUNK", 2)
    true_read, read, killed_at = gather._look_at_some, [], [0]

    class Here:
        """A pool in this process, so that reads can be counted; it fails at one of the chunks."""

        def __init__(self, workers) -> None:
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_) -> None:
            pass

        def map(self, task, chunks):
            for number, chunk in enumerate(chunks, 1):
                if number == killed_at[0]:
                    raise MemoryError
                yield task(chunk)

    def counted(folder, snapshots, entries):
        read.extend(entry.location for entry in entries)
        return true_read(folder, snapshots, entries)

    monkeypatch.setattr(gather, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(gather, "_look_at_some", counted)
    expected = gathered(sources)
    killed_at[0], seen = 4, tmp_path / "seen.csv"
    with pytest.raises(MemoryError):
        gathered(sources, seen=seen)
    killed_at[0] = 0
    read.clear()
    assert gathered(sources, seen=seen) == expected
    own = {still.entry.location for still in expected.stills if not still.entry.repository}
    assert own < set(read) < {still.entry.location for still in expected.stills}  # the last of two chunks was lost
    read.clear()
    assert gathered(sources, seen=seen) == expected
    assert set(read) == own
    large.git(sources.snapshots / "anna+photos" / "repo", "commit", "-q", "--allow-empty", "-m", "later")
    read.clear()
    assert gathered(sources, seen=seen) == expected
    assert set(read) - own == {still.entry.location for still in expected.stills if still.entry.source == "anna"}
    monkeypatch.setattr(gather, "_decoder", lambda: "another")
    read.clear()
    assert gathered(sources, seen=seen) == expected
    assert len(read) == len(expected.stills)


def test_what_cannot_be_had_is_counted_and_named_and_the_rest_is_used(sources):
    sources.index[0]["blob"] = "0" * 40
    blobs = large.repository(sources.snapshots / "c+c" / "repo", {"a.png": b"words"})
    sources.listed("train", "real", "c/c", "a.png", blobs["a.png"])
    sources.listed("train", "real", "no/one", "a.png", "1" * 40)
    sources.listed("train", "real", "no/one", "b.png", "2" * 40)
    gathering = gathered(sources)
    assert len(gathering.stills) == 10
    assert [entry.why for entry in gathering.missing] == [Why.ABSENT, Why.NO_PICTURE, Why.NO_SNAPSHOT, Why.NO_SNAPSHOT]
    lines = gather.summary(gathering).splitlines()
    offset = lines.index("missing, absent from the snapshot: 1")
    assert lines[offset + 1] == "  anna/photos:p/10.png"
    offset = lines.index("missing, no snapshot of its repository: 2")
    assert lines[offset + 1] == "  no/one"


def test_one_source_without_its_snapshot_leaves_the_others(sources):
    shutil.rmtree(sources.snapshots / "anna+photos")
    gathering = gathered(sources)
    assert {still.entry.source for still in gathering.stills} == {"own", "bert"}
    assert len(gathering.missing) == 4


@pytest.mark.parametrize("given", [True, False])
def test_without_any_snapshot_the_own_list_stands_alone_in_one_sentence(sources, given):
    shutil.rmtree(sources.snapshots)
    gathering = gather.gather(sources.data, sources.snapshots if given else None, workers=1)
    assert locations(gathering) == ["0.png", "1.png", "2.png", "3.png"]
    assert len(gathering.notes) == 1
    assert gathering.notes[0].endswith("of the 2 repositories of the index, so stills.csv alone is used.")
    assert gather.summary(gathering).startswith(gathering.notes[0])


def test_a_split_without_a_class_is_refused(sources):
    sources.stills = [row for row in sources.stills if row["split"] != "val"]
    sources.index = [row for row in sources.index if row["split"] != "val"]
    with pytest.raises(DatasetError, match="The val split must hold both classes"):
        gathered(sources)


def test_the_list_of_what_is_not_used_names_each_picture_with_its_reason(sources, tmp_path):
    sources.index[0]["blob"] = "0" * 40
    sources.still("train", "real", "again.png", large.picture(0))
    gather.write_missing(gathered(sources), tmp_path / "work" / "missing.csv")
    with (tmp_path / "work" / "missing.csv").open(newline="") as stream:
        rows = [(row["place"], row["reason"], row["other"]) for row in csv.DictReader(stream)]
    assert rows == [
        ("anna/photos:p/10.png", "absent from the snapshot", ""),
        ("again.png", "the same picture", "0.png"),
    ]


def test_the_same_pixels_in_another_file_of_another_split_stay_where_they_are_held_out(sources):
    blobs = large.repository(
        sources.snapshots / "c+c" / "repo", {"a.bmp": large.coded(Image.fromarray(large.picture(0)), "BMP")}
    )
    sources.listed("cross", "real", "c/c", "a.bmp", blobs["a.bmp"])
    gathering = gathered(sources)
    assert "c/c:a.bmp" in locations(gathering)
    assert [(entry.still.entry.location, entry.other) for entry in gathering.dropped] == [("0.png", "c/c:a.bmp")]


def test_a_recompressed_copy_in_another_split_is_dropped(sources, portrait):
    sources.still("val", "fake", "portrait.png", portrait[::4, ::4])
    copy = large.coded(Image.fromarray(portrait[::4, ::4]).resize((150, 150)), "JPEG", quality=50)
    blobs = large.repository(sources.snapshots / "c+c" / "repo", {"a.jpg": copy})
    sources.listed("train", "fake", "c/c", "a.jpg", blobs["a.jpg"])
    gathering = gathered(sources)
    assert [(entry.still.entry.location, entry.reason, entry.other) for entry in gathering.dropped] == [
        ("c/c:a.jpg", "nearly the same picture in another split", "portrait.png")
    ]


# The rules by themselves, on made-up pictures.


def still(
    name: str,
    split: str = "train",
    label: int = 0,
    *,
    source: str = "s",
    pixels: str = "",
    likeness: int | None = None,
    detail: int | None = None,
    group: str = "",
    pair: str = "",
    method: str = "",
) -> Still:
    entry = Entry(split, source, label, method, group, pair, "a/b", hashlib.sha1(name.encode()).hexdigest(), name)
    unlike = int.from_bytes(np.random.default_rng(list(name.encode())).bytes(8), "big")
    likeness = unlike if likeness is None else likeness
    return Still(entry, 9, 9, pixels or name, f"{likeness:016x}", f"{likeness if detail is None else detail:064x}")


def names(stills) -> list[str]:
    return [still.entry.path for still in stills]


def test_the_first_of_equal_pictures_is_kept():
    chosen = choosing.once_each([still("a", pixels="p"), still("b"), still("c", pixels="p")])
    assert names(chosen.stills) == ["a", "b"]
    assert [(entry.still.entry.path, entry.other) for entry in chosen.dropped] == [("c", "a/b:a")]


def test_equal_pictures_under_both_labels_are_dropped():
    same = [still("a", pixels="p"), still("b", label=1, pixels="p"), still("c", "val", pixels="p"), still("d")]
    chosen = choosing.once_each(same)
    assert names(chosen.stills) == ["d"]
    assert {entry.reason for entry in chosen.dropped} == {"the same picture under both labels"}


@pytest.mark.parametrize("label", [0, 1])
def test_a_picture_like_one_that_is_held_out_is_dropped_under_either_label(label):
    chosen = choosing.unlike([still("a", likeness=0), still("b", "val", label, likeness=0b111111, source="t")])
    assert names(chosen.stills) == ["b"]
    chosen = choosing.unlike([still("a", likeness=0), still("b", "val", label, likeness=0b1111111, source="t")])
    assert names(chosen.stills) == ["a", "b"]


def test_cross_keeps_what_val_and_train_hold_too():
    like = [still(split, split, likeness=1) for split in ("train", "val", "cross")]
    assert names(choosing.unlike(like).stills) == ["cross"]


def test_within_a_split_likeness_drops_another_source_under_the_same_label_alone():
    first = still("a", likeness=0)
    for other, stays in (
        (still("b", likeness=1), True),  # crops of one source are alike
        (still("b", label=1, source="t", likeness=1), True),  # an edit of it
        (still("b", source="t", likeness=1), False),
    ):
        assert names(choosing.unlike([first, other]).stills) == ["a", "b"][: 1 + stays]


def test_the_detailed_hash_decides_what_is_alike():
    like = [still("a", likeness=0), still("b", source="t", likeness=0, detail=0b111)]
    assert len(choosing.unlike(like, 2).stills) == 2
    assert len(choosing.unlike(like, 3).stills) == 1


def test_a_small_recompressed_copy_is_alike_and_another_cut_is_not(portrait):
    rgb = portrait[::4, ::4]
    copy = np.asarray(Image.open(io.BytesIO(large.coded(Image.fromarray(rgb).resize((150, 150)), "JPEG", quality=50))))
    bits = [int(perceptual_hash(picture, choosing.DETAIL_SIDE), 16) for picture in (rgb, copy, rgb[9:, 9:])]
    assert (bits[0] ^ bits[1]).bit_count() <= choosing.NEAR_BITS < (bits[0] ^ bits[2]).bit_count()


def test_a_person_stays_where_most_of_the_pictures_are_and_cross_keeps_its_own():
    mixed = [still(f"t{n}", group="anna") for n in range(3)]
    mixed += [still(f"v{n}", "val", group="anna", source="t") for n in range(2)]
    mixed += [still(f"x{n}", group="bert") for n in range(3)] + [still("c", "cross", group="bert")]
    mixed += [still("e", group="cleo"), still("f", "val", group="cleo"), still("g"), still("h", "val")]
    chosen = choosing.whole_groups(mixed)
    assert names(chosen.stills) == ["t0", "t1", "t2", "c", "f", "g", "h"]
    assert {entry.reason for entry in chosen.dropped if entry.still.entry.group == "bert"} == {
        "of a group that stays in cross"
    }


def many() -> list[Still]:
    everything = [still(f"r{n}", source="a", pair=f"r{n}", group=f"g{n % 3}") for n in range(60)]
    everything += [still(f"f{n}-{k}", "train", 1, source="a", pair=f"r{n}") for n in range(60) for k in range(2)]
    return everything + [still(f"b{n}", source="b", method=f"m{n % 2}") for n in range(60)]


def test_no_source_method_or_person_goes_above_its_bound():
    chosen = choosing.bounded(many(), Caps(Cap(pictures=20, person=4), {"b": Cap(pictures=7)}))
    real, fake = (
        [still for still in chosen.stills if still.entry.source == "a" and still.entry.label == k] for k in (0, 1)
    )
    assert (len(real), len(fake)) == (12, 20)
    assert all(sum(still.entry.group == group for still in real) == 4 for group in ("g0", "g1", "g2"))
    for method in ("m0", "m1"):
        assert sum(still.entry.method == method for still in chosen.stills) == 7
    assert len(chosen.stills) + len(chosen.dropped) == len(many())


def test_a_person_counts_over_all_sources():
    everyone = [still(f"{source}{n}", source=source, group="anna") for source in "ab" for n in range(5)]
    assert len(choosing.bounded(everyone, Caps(Cap(person=6))).stills) == 6


def test_the_choice_depends_on_names_alone_and_grows_with_the_bound():
    small, large_one = (choosing.bounded(many(), Caps(Cap(count, 60))).stills for count in (10, 15))
    assert set(names(small)) < set(names(large_one))
    backwards = choosing.bounded(many()[::-1], Caps(Cap(10, 60))).stills
    assert sorted(names(backwards)) == sorted(names(small))
    assert names(small) == [name for name in names(many()) if name in set(names(small))]


def test_a_bounded_source_keeps_its_pairs():
    without = [replace(still, entry=replace(still.entry, group="")) for still in many()]
    chosen = [still.entry for still in choosing.bounded(without, Caps(Cap(pictures=20))).stills]
    originals = {entry.path for entry in chosen if entry.source == "a" and not entry.label}
    assert {entry.pair for entry in chosen if entry.label} <= originals


def test_a_contact_sheet_shows_every_source_and_names_its_pictures(sources, tmp_path):
    stills = gathered(sources).stills
    shutil.rmtree(sources.snapshots / "bert+made")
    plan = sheets.plan(stills)
    assert [sheet.name for sheet in plan][:3] == ["anna-cross-real", "anna-train-real", "anna-val-real"]
    assert sum(len(sheet.stills) for sheet in plan) == len(stills)
    with Snapshots(sources.snapshots) as readers:
        written = {sheet.name: sheets.write(sheet, sources.data, readers, tmp_path / "sheets") for sheet in plan}
    drawn = np.asarray(Image.open(written["anna-train-real"]))
    assert drawn.shape == (sheets.SIDE, sheets.COLUMNS * sheets.SIDE, 3)
    first = plan[1].stills[0]
    shown, own = drawn[:48, :40].mean(axis=2), large.picture(int(first.entry.path[2:4])).mean(axis=2)
    assert np.corrcoef(shown.ravel(), own.ravel())[0, 1] > 0.98
    lines = written["anna-train-real"].with_suffix(".txt").read_text().splitlines()
    assert lines[0] == f"1.1 {first.id} {first.entry.location}"
    assert np.asarray(Image.open(written["bert-train-fake"])).std() < 2  # its snapshot is gone
