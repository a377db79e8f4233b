"""Models: the models, their measured performance, and the model card."""

import streamlit as st

from faceloupe.config import weights_folder
from faceloupe.errors import FaceLoupeError, WeightsError
from faceloupe.evaluation.measures import of_model
from faceloupe.evaluation.published import Evaluation, is_of, read_evaluation
from faceloupe.installation import MODEL_CARD
from faceloupe.models.record import EVALUATION, read_registry
from faceloupe.ui import charts, elements
from faceloupe.ui.language import tr
from faceloupe.ui.models import panels as model_panels
from faceloupe.ui.models import regression, tables


def plots(evaluation: Evaluation, model: str) -> None:
    """Show the ROC curves of all models, the reliability of those trained here, and the other plots of one model."""
    own = {entry.id: evaluation.curves[entry.id] for entry in evaluation.models if entry.parameters}
    pairs = (
        (
            "ROC",
            charts.roc_chart(evaluation.curves),
            tr("Error rates at every threshold: higher is better, further right is worse."),
        ),
        (tr("Reliability"), charts.reliability_chart(own), tr("Well-calibrated scores lie on the diagonal.")),
        (
            tr("Tippett"),
            charts.tippett_chart(own[model]),
            tr("The further apart the two curves are at 0, the more informative the ratios."),
        ),
        (tr("Outcomes"), charts.confusion_chart(own[model]), tr("Outcomes of authentic and manipulated faces.")),
    )
    for column, (title, figure, caption) in zip((*st.columns(2), *st.columns(2)), pairs, strict=True):
        with column:
            st.markdown(f"**{title}**")
            elements.chart(figure, key=f"chart-{title}", alt=f"{title}. {caption}")
            st.caption(caption)


def measured(evaluation: Evaluation, model: str) -> None:
    """Show the plots, all tables of the evaluation, and the model card."""
    names = (
        tr("Plots"),
        tr("By source"),
        tr("By face size"),
        tr("After recompression"),
        tr("Left out of training"),
        tr("Heatmaps"),
        tr("Card"),
    )
    rows = evaluation.tables
    drawn, source, size, condition, left_out, heatmaps, card = st.tabs(names)
    with drawn:
        plots(evaluation, model)
    with source:
        model_panels.source_names()
    source.dataframe(tables.full(of_model(rows.sources, model), tr("source")), hide_index=True)
    source.dataframe(tables.across(rows.sources, "auc", tr("AUC by source")), hide_index=True)
    source.dataframe(tables.across(rows.clips, "auc", tr("AUC per clip")), hide_index=True)
    size.dataframe(tables.full(of_model(rows.sizes, model), tr("face in the stored picture")), hide_index=True)
    with condition:
        elements.chart(
            charts.conditions_chart(rows.conditions),
            key="chart-conditions",
            alt=tr("AUC after recompression, resizing and the like; the table below holds the numbers"),
        )
        st.dataframe(tables.full(of_model(rows.conditions, model), tr("condition")), hide_index=True)
    with left_out:
        study = evaluation.studies.left_out
        if study:
            st.caption(
                tr(
                    "Short runs of {count:,} pictures, each trained without the sources it is tested on.",
                    count=study.pictures,
                )
            )
            st.dataframe(tables.full([(row.source, row) for row in study.rows], tr("source")), hide_index=True)
    heatmaps.caption(
        tr("Share of the Grad-CAM mass inside the manipulated part of a face, compared with the area of that part.")
    )
    heatmaps.dataframe(tables.of_heatmaps(rows.heatmaps), hide_index=True)
    card.markdown(MODEL_CARD.read_text(encoding="utf-8").partition("## Figures")[0])


st.header(tr("Models"))
try:
    registered = read_registry(weights_folder())
    if not registered:
        raise WeightsError("There are no model records in the weights folder; restore them from the repository.")
    model_panels.reading_guide()
    chosen = model_panels.choose(registered)
    model_panels.error_rates(registered[chosen])
    regression.panel(registered[chosen])
    evaluation = read_evaluation(weights_folder() / EVALUATION)
    if is_of(evaluation, registered[chosen]):
        model_panels.best_and_worst(evaluation, chosen)
        measured(evaluation, chosen)
    elif model_panels.has_sources(registered[chosen]):
        model_panels.by_source(chosen)
    else:
        st.warning(tr("There are no tables for this record: it was added or changed after they were measured."))
except FaceLoupeError as problem:
    st.error(elements.plain(str(problem)), icon=":material/error:")
