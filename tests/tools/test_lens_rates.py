from tools import lens_rates

from faceloupe.forensics import clone, traces
from faceloupe.forensics.rates import measured
from faceloupe.forensics.registry import LENSES


def test_the_page_is_what_was_measured():
    assert lens_rates.PAGE.read_text(encoding="utf-8") == lens_rates.page(measured())


def test_every_rule_of_the_table_was_measured_and_never_fired_on_a_file_without_its_marker():
    rules = measured().rules
    for rule in traces.rules():
        rates = rules[f"traces.{rule.id}"]
        assert (rates.true_positives, rates.false_positives) == (rates.positives, 0)
        of_photographs_too = rule.kind in ("editor", "developer")  # their truth is unknown
        assert rates.negatives > 1000 or of_photographs_too or not {"EXIF", "XMP", "IPTC"} & set(rule.places)


def test_files_saved_twice_are_distinguished_on_both_grids():
    areas = {row.name: row.auc for row in measured().separations if row.name.endswith(": all")}
    assert len(areas) == 2
    assert min(areas.values()) >= 0.9


def test_the_rule_of_copied_parts_rarely_fires_without_one_and_no_other_way_tells_them_better():
    rates = measured().rules[clone.COPIED]
    assert rates.false_positives <= 0.05 * rates.negatives
    (rule,) = (row.auc for row in measured().separations if "copied" in row.name)
    others = [area for row in measured().trials if row.sought == "a copied part" for area in row.areas.values()]
    assert len(others) == 2
    assert rule > max(others)


def test_each_lens_takes_less_than_three_seconds_of_processor_time_on_twelve_megapixels():
    times = {row.title: row.cpu_s for row in measured().times}
    ordinary = [times[lens.title] for lens in LENSES]  # not that of robustness, which runs on request
    assert max(ordinary) < 3
    assert sum(ordinary) < 10
