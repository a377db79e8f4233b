from tools import lens_rates

from faceloupe.forensics import traces
from faceloupe.forensics.rates import measured


def test_the_page_is_what_was_measured():
    assert lens_rates.PAGE.read_text(encoding="utf-8") == lens_rates.page(measured())


def test_every_rule_of_the_table_was_measured_and_never_fired_on_a_file_without_its_marker():
    rules = measured().rules
    for rule in traces.rules():
        rates = rules[f"traces.{rule.id}"]
        assert (rates.true_positives, rates.false_positives) == (rates.positives, 0)
        assert rates.negatives > 1000 or not {"EXIF", "XMP", "IPTC"} & set(rule.places)


def test_files_saved_twice_are_told_apart_on_both_grids():
    areas = {row.name: row.auc for row in measured().separations if row.name.endswith(": all")}
    assert len(areas) == 2
    assert min(areas.values()) >= 0.9
