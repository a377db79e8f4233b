"""Terms of the field in plain words, for tooltips and the page Glossary."""

from dataclasses import dataclass

from faceloupe.ui.language import tr


@dataclass(frozen=True, slots=True)
class Term:
    """A term and its meaning, which is Markdown."""

    name: str
    meaning: str


TERMS = (
    Term(
        "Score",
        "A number from 0 (authentic) to 1 (manipulated). It orders faces; it is not a probability of guilt.",
    ),
    Term(
        "Thresholds",
        "Two limits of the score. At or above the upper one the outcome is *manipulated*, at or below the "
        "lower one *authentic*; between them it is *inconclusive*.",
    ),
    Term(
        "Inconclusive",
        "The result supports neither verdict strongly enough. It is an answer, not a failure. Below the finding, you "
        "see what could decide the question.",
    ),
    Term(
        "Propositions",
        "The two statements that are compared: the face was generated or manipulated, or it is as a camera "
        "recorded it.",
    ),
    Term(
        "Likelihood ratio (LR)",
        "How many times more probable the result is if one proposition is true than if the other is. 1 "
        "supports neither, 100 is moderate to moderately strong support.",
    ),
    Term(
        "log10 LR",
        "The likelihood ratio as a power of ten: 0 supports neither, +1 means ten times more probable if "
        "manipulated, -1 ten times more probable if authentic.",
    ),
    Term(
        "Kinds of manipulation",
        "*Generated*: the whole face was made by a generator. *Changed*: a photograph of a face was swapped, "
        "reenacted or composed. Each kind has its own likelihood ratio, which comes from single networks and has its "
        "own bounds. The ratio of the finding combines all networks, so it need not lie between the two.",
    ),
    Term(
        "Support",
        "The words for a likelihood ratio: weak up to 10, moderate up to 100, moderately strong up to 1,000, "
        "strong up to 10,000 (ENFSI).",
    ),
    Term(
        "Prior odds",
        "How probable a manipulation is from everything else that is known about the case. Only together with these "
        "odds does a likelihood ratio say how probable a manipulation is.",
    ),
    Term(
        "Bounds of the LR",
        "The largest and the smallest ratio that the number of validation faces allows to state. A result "
        "beyond a bound is given as the bound.",
    ),
    Term(
        "Error rates",
        "How often faces of known origin were given the wrong verdict: authentic faces called *manipulated* "
        "(false positives), manipulated faces called *authentic* (false negatives).",
    ),
    Term(
        "95 % interval",
        "The range in which the true rate lies with a confidence of 95 %. It is wide where few faces were measured.",
    ),
    Term(
        "Unseen sources",
        "Collections and generators that were left out of the training. The error rates on them show what to expect "
        "of material that the model has never seen.",
    ),
    Term(
        "Cross-fitted",
        "Each source was judged by a model that was trained without it, so every rate is for unseen sources.",
    ),
    Term(
        "Quality gates",
        "Limits of size, sharpness and detection that a face must meet; a face below them is listed and not scored.",
    ),
    Term(
        "Heatmap (Grad-CAM)",
        "Which parts of the face raised the score, on one fixed scale for all pictures. It shows where the "
        "network looked, not where a manipulation is.",
    ),
    Term(
        "Logit",
        "The raw number that a network gives before calibration; larger means more like manipulated training faces.",
    ),
    Term(
        "Calibration",
        "The step that turns a logit into a score and a likelihood ratio, fitted on faces whose origin is known.",
    ),
    Term(
        "ECE",
        "Expected calibration error: the average difference between the predicted and the observed share of "
        "manipulated faces. 0 is perfect.",
    ),
    Term(
        "Cllr",
        "A cost that measures how good likelihood ratios are: 0 is perfect, 1 means that they say nothing. Strong "
        "ratios that mislead cost most.",
    ),
    Term(
        "Tippett plot",
        "For each likelihood ratio, how many authentic and how many manipulated faces were given a larger one.",
    ),
    Term(
        "ROC and AUC",
        "The curve of hits against false positives over all thresholds (ROC), and the area under it (AUC): 0.5 "
        "is guessing, 1 is perfect.",
    ),
    Term("Track", "One face from frame to frame within one shot of a video."),
    Term("Person", "Tracks of several shots that look like the same face."),
    Term(
        "Effective frames",
        "How many independent frames the frames of a track are worth. Neighboring frames carry nearly the same "
        "information.",
    ),
    Term(
        "Strongest segment",
        "The sequence of frames of a track with the highest mean score. It decides the outcome if only a part of a "
        "video was changed.",
    ),
    Term(
        "Core, expert, head",
        "The networks that score: a small one for faces (core), a large one for pictures (expert), and the "
        "small parts on top of it that were trained here (heads).",
    ),
    Term(
        "Effort",
        "How much is computed: quick uses the core, standard adds the expert, thorough takes more frames of a video.",
    ),
    Term("Run", "One analysis of an item by one model with one set of settings. A case keeps all runs."),
    Term("SHA-256", "A fingerprint of the bytes of a file. If one bit of the file changes, the fingerprint changes."),
    Term(
        "Head of the log",
        "The hash of the newest entry of a case's log. Each entry contains the hash of the one before, so the"
        " head stands for all of them.",
    ),
    Term(
        "Content Credentials (C2PA)",
        "Signed statements in a file about its origin and editing. Their absence says nothing.",
    ),
    Term("Blind mode", "The result is hidden from each examiner until that examiner has entered a decision."),
)


def matching(search: str) -> list[Term]:
    """Return the terms whose name or meaning contains a text, in alphabetical order; all terms for an empty text."""
    wanted = search.strip().casefold()
    terms = [Term(tr(term.name), tr(term.meaning)) for term in TERMS]
    terms = [term for term in terms if wanted in f"{term.name} {term.meaning}".casefold()]
    return sorted(terms, key=lambda term: term.name.casefold())


def meaning(name: str) -> str:
    """Return the meaning of a term, for a tooltip.

    Raises:
        StopIteration: there is no such term.
    """
    return tr(next(term.meaning for term in TERMS if term.name == name))
