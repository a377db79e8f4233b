"""``faceloupe case ...``: its arguments and actions."""

import argparse
import getpass
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faceloupe.cases.audit_log import STORE
from faceloupe.cases.records import Case, Confidence, Decision, Item, SignOff
from faceloupe.cases.store import CaseStore
from faceloupe.cases.workflow import CaseWorkflow, OpenFile
from faceloupe.cli import bundle
from faceloupe.cli.console import Console
from faceloupe.config import Settings, data_folder
from faceloupe.errors import FaceLoupeError, UsageError
from faceloupe.media.embedded import EmbeddedItem, extract_as_file
from faceloupe.media.evidence_file import EvidenceFile, open_evidence, printable_name
from faceloupe.media.sandbox.statements import list_embedded
from faceloupe.report.columns import columns
from faceloupe.types import Outcome, Step

if TYPE_CHECKING:
    from faceloupe.analysis.pipeline import Networks

_PAGE = 1000  # items read at a time


def _store() -> CaseStore:
    return CaseStore(data_folder())


def current_user(named: str | None) -> str:
    """Return the name of the person who runs a command: the given name, or the login name if it is empty."""
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"


def _create(options: argparse.Namespace, console: Console) -> int:
    case = _store().create_case(
        options.name, examiner=options.examiner or "", blind=options.blind, actor=current_user(options.examiner)
    )
    console.emit(case.id)
    return 0


def _networks(settings: Settings) -> "Networks":
    from faceloupe.analysis import pipeline  # lazy import: other commands do not need it

    return pipeline.Networks.load(settings)


def _add(options: argparse.Namespace, console: Console) -> int:
    settings = Settings.from_environment({"effort": options.effort} if options.effort else None)
    code, networks = 0, None
    if not options.no_analysis:
        try:
            networks = _networks(settings)
        except FaceLoupeError as problem:  # the evidence is filed even if it cannot be analyzed
            console.complain(str(problem))
            code = 2
    workflow = CaseWorkflow(_store(), options.case, current_user(options.examiner), settings)
    for path in options.files:
        code = _add_file(workflow, _opener(path, settings.max_bytes), path.name, networks, console) or code
        if options.embedded:
            code = _add_embedded(workflow, path, networks, console) or code
    return code


def _add_file(
    workflow: CaseWorkflow, open_file: OpenFile, name: str, networks: "Networks | None", console: Console
) -> int:
    """File and analyze one file; return the exit code."""
    code, opened = 0, list[EvidenceFile]()

    def open_once(step: Step) -> EvidenceFile:
        opened.append(open_file(step))
        return opened[0]

    try:
        item = workflow.file(open_once, name, progress=console.progress)
    except FaceLoupeError as problem:
        console.clear()
        console.complain(f"{name} was not filed: {problem}")
        return 2
    try:
        if networks is not None:
            workflow.analyze(item, networks, progress=console.progress, origin=opened[0].evidence.origin)
    except FaceLoupeError as problem:
        console.clear()
        console.complain(f"{name} was filed but not analyzed: {problem}")
        code = 2
    console.clear()
    console.emit("  ".join((item.sha256, f"{_result(_shown(workflow, item.sha256)):<14}", item.name)))
    return code


def _add_embedded(workflow: CaseWorkflow, path: Path, networks: "Networks | None", console: Console) -> int:
    """File and analyze the contents embedded in a file, each as a separate item; return the exit code."""
    code, settings = 0, workflow.settings
    try:
        evidence_file = open_evidence(path, max_bytes=settings.max_bytes)
    except UsageError:  # already reported: the file itself was not filed either
        return 2
    try:
        items = list_embedded(evidence_file, settings=settings)
    except FaceLoupeError as problem:
        console.complain(f"What {printable_name(path.name)} holds besides its picture was not filed: {problem}")
        return 2
    for item in items:
        if item.is_file:
            open_item = _item_opener(evidence_file, item, settings.max_bytes)
            code = _add_file(workflow, open_item, f"{path.name}!{item.content.offset}", networks, console) or code
    return code


def _shown(workflow: CaseWorkflow, sha256: str) -> Item:
    """Return an item as the person may see it, and log the view."""
    workflow.store.reviews.view_scores(workflow.case_id, [sha256], examiner=workflow.actor)
    return workflow.store.items.get(workflow.case_id, sha256, viewer=workflow.actor)


def _result(item: Item) -> str:
    return "hidden" if item.hidden else (item.outcome or "not analyzed").replace("_", " ")


def _list(options: argparse.Namespace, console: Console) -> int:
    cases = _store().cases()
    if not cases:
        console.emit("There are no cases yet; create one with `faceloupe case create NAME`.")
        return 0
    rows = [("Case", "Opened", "Items", "Blind", "Examiner", "Name")]
    for case in cases:
        blind = "blind" if case.blind else "-"
        rows.append((case.id, case.created_utc[:10], f"{case.items:,}", blind, case.examiner or "-", case.name))
    console.emit("\n".join(columns(rows)))
    return 0


def _all_items(store: CaseStore, case: Case, viewer: str) -> Iterator[Item]:
    for offset in range(0, case.items, _PAGE):
        yield from store.items.page(case.id, viewer=viewer, offset=offset, limit=_PAGE).items


def _show(options: argparse.Namespace, console: Console) -> int:
    store, viewer = _store(), current_user(options.examiner)
    case = store.case(options.case)
    store.reviews.view_all(case.id, examiner=viewer)
    items = list(_all_items(store, case, viewer))
    hidden = sum(item.hidden for item in items)
    if options.json:
        from faceloupe.cases.case_record import open_case_record  # lazy import: other commands do not need it

        with open_case_record(store, case.id, viewer=viewer) as report:
            for piece in report.pieces():
                console.emit(piece, end="")
        console.emit("")
    else:
        console.emit("\n".join(_description(store, case, items)))
    if hidden:
        console.complain(f"Items whose results are hidden from {viewer} until {viewer} decides them: {hidden:,}.")
    return 0


def _description(store: CaseStore, case: Case, items: Sequence[Item]) -> list[str]:
    """Return the readable description of a case, as lines."""
    lines = [
        f"Case      {case.id}",
        f"Name      {case.name}",
        f"Examiner  {case.examiner or '-'}",
        f"Opened    {case.created_utc}",
        f"Blind     {'yes' if case.blind else 'no'}",
        f"Items     {len(items):,}",
        f"Names     {_names(store, case.id, items)}",
    ]
    lines += [
        f"Note      {printable_name(' '.join(note.text.split()))} ({note.author})"
        for note in store.reviews.notes(case.id)
    ]
    for sign_off in store.reviews.sign_offs(case.id):
        since = store.reviews.changes_since(case.id, sign_off.utc)
        lines.append(
            f"Signed    {sign_off.reviewer}, {sign_off.utc}" + (f"; filed or decided since: {since}" if since else "")
        )
    if items:
        rows = [("SHA-256", "Outcome", "Score", "Decision", "Signed", "Name")]
        for item in items:
            score = "-" if item.score is None else f"{item.score:.2f}"
            decision = (item.decision or "-").replace("_", " ")
            signed = "signed" if item.signed_off else "-"
            rows.append((item.sha256[:12], _result(item), score, decision, signed, item.name))
        lines += ["", *columns(rows)]
    return lines


def _names(store: CaseStore, case_id: str, items: Sequence[Item]) -> str:
    """Return the words that state whether the names in decisions and signatures were checked by passwords."""
    made: list[Decision | SignOff] = [*store.reviews.sign_offs(case_id)]
    for item in items:
        if item.decision or item.signed_off:
            made += [*store.reviews.decisions(case_id, item.sha256), *store.reviews.sign_offs(case_id, item.sha256)]
    checked = bool(made) and all(statement.name_checked for statement in made)
    return "of decisions and signatures checked by passwords" if checked else "not checked, as they were typed"


def _opener(path: Path, max_bytes: int) -> OpenFile:
    return lambda step: open_evidence(path, max_bytes=max_bytes, step=step)


def _item_opener(holder: EvidenceFile, item: EmbeddedItem, max_bytes: int) -> OpenFile:
    return lambda _: extract_as_file(holder, item, max_bytes=max_bytes)


def _recorded(store: CaseStore, case_id: str, name: str) -> str:
    head = store.log.head(case_id)
    return (
        f"Recorded; the log of case {case_id} has {head.seq:,} entries, head {head.sha256}\n"
        f"The name {printable_name(name)} was not checked: the command line takes names as they are typed."
    )


def _note(options: argparse.Namespace, console: Console) -> int:
    store = _store()
    store.reviews.add_note(options.case, options.text, author=options.author, sha256=options.item)
    console.emit(_recorded(store, options.case, options.author))
    return 0


def _decide(options: argparse.Namespace, console: Console) -> int:
    store = _store()
    store.reviews.decide(
        options.case,
        options.item,
        outcome=options.outcome,
        reason=options.reason,
        confidence=options.confidence,
        examiner=options.examiner,
    )
    console.emit(_recorded(store, options.case, options.examiner))
    return 0


def _sign_off(options: argparse.Namespace, console: Console) -> int:
    store = _store()
    store.reviews.sign_off(
        options.case, reviewer=options.reviewer, sha256=options.item, open_reason=options.open_reason
    )
    console.emit(_recorded(store, options.case, options.reviewer))
    return 0


def _export(options: argparse.Namespace, console: Console) -> int:
    return bundle.export(_store(), current_user(options.examiner), options, console)


def _verify_log(options: argparse.Namespace, console: Console) -> int:
    store, code = _store(), 0
    checks = {options.case: store.log.verify(options.case)} if options.case else store.log.verify_all()
    for chain, check in checks.items():
        if not check.ok:
            console.complain(
                f"The log of {'the store' if chain == STORE else f'case {chain}'} is broken: {check.reason}"
            )
            code = 1
        elif chain != STORE or options.case:
            console.emit(f"{chain}: {check.entries:,} entries, good; head {check.head_sha256}")
    return code


ANSWERS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "create": _create,
    "add": _add,
    "list": _list,
    "show": _show,
    "note": _note,
    "decide": _decide,
    "sign-off": _sign_off,
    "export": _export,
    "verify-log": _verify_log,
}


def add_actions(case: argparse.ArgumentParser, effort: argparse.ArgumentParser) -> None:
    """Add the actions and their arguments to the parser of ``faceloupe case``.

    Args:
        case: parser of ``faceloupe case``.
        effort: parent parser with the option ``--effort``, for actions that score.
    """
    actions = case.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)

    def action(
        name: str, about: str, *, of_case: bool = True, parents: Sequence[argparse.ArgumentParser] = ()
    ) -> argparse.ArgumentParser:
        parser = actions.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.", parents=parents)
        if of_case:
            parser.add_argument("case", metavar="CASE", help="id of the case")
        return parser

    create = action("create", "create a case and print its id", of_case=False)
    create.add_argument("name", metavar="NAME")
    create.add_argument("--examiner", metavar="WHO", help="name of the examiner (default: none)")
    create.add_argument(
        "--blind", action="store_true", help="hide results from each examiner until that examiner has decided"
    )
    add = action("add", "add evidence to a case and analyze it", parents=[effort])
    add.add_argument("files", metavar="FILE", type=Path, nargs="+")
    add.add_argument("--examiner", metavar="WHO", help="name of the examiner (default: the user who is logged in)")
    add.add_argument(
        "--embedded",
        action="store_true",
        help="also add what a file holds besides its picture, such as the video of a motion photo, as its own item",
    )
    add.add_argument("--no-analysis", action="store_true", help="add the files without analyzing them")
    action("list", "list the cases", of_case=False)
    show = action("show", "show a case")
    show.add_argument("--json", action="store_true", help="print only the case report as JSON")
    show.add_argument("--examiner", metavar="WHO", help="name of the examiner (default: the user who is logged in)")
    note = action("note", "write a note on a case or an item")
    note.add_argument("text", metavar="TEXT")
    note.add_argument("--author", metavar="WHO", required=True)
    decide = action("decide", "record an examiner's decision on an item")
    decide.add_argument("--outcome", metavar="WORD", required=True, help=", ".join(Outcome))
    decide.add_argument("--reason", metavar="TEXT", required=True)
    decide.add_argument("--confidence", metavar="WORD", required=True, help=", ".join(Confidence))
    decide.add_argument("--examiner", metavar="WHO", required=True)
    sign_off = action("sign-off", "sign a case or an item as a second person")
    sign_off.add_argument("--reviewer", metavar="WHO", required=True)
    sign_off.add_argument(
        "--open-reason",
        metavar="TEXT",
        default="",
        help="why the case is signed although some of its items have no decision; the report prints it",
    )
    for parser, required in ((note, False), (decide, True), (sign_off, False)):
        parser.add_argument("--item", metavar="SHA", required=required, help="first digits of the item's SHA-256")
    bundle.add_export(action("export", "write a case as one signed bundle"))
    verify = action("verify-log", "check the log of a case, or all logs", of_case=False)
    verify.add_argument("case", metavar="CASE", nargs="?", help="id of the case (default: all cases)")
