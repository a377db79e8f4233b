"""The command line: the argument parser and the commands for single files; other commands have their own modules."""

import argparse
import atexit
import contextlib
import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Never, TextIO

from faceloupe import __version__
from faceloupe.cli import api as api_command
from faceloupe.cli import batch as batch_command
from faceloupe.cli import bundle
from faceloupe.cli import case as case_command
from faceloupe.cli import lenses as lenses_command
from faceloupe.cli import people as people_command
from faceloupe.cli.arguments import folder
from faceloupe.cli.console import Console
from faceloupe.config import DEFAULT_EFFORT, EFFORTS, Settings, data_folder
from faceloupe.errors import EvidenceError, FaceLoupeError, UsageError
from faceloupe.media.evidence import Evidence
from faceloupe.media.evidence_file import EvidenceFile, open_evidence, printable_name
from faceloupe.system.logging import keep_log
from faceloupe.types import Outcome

_LOG = logging.getLogger(__name__)
_START = "\r\033[K"  # go to the start of the terminal line, and clear it
_EXTRAS = {  # module -> extra of the package that installs it
    "jinja2": "report",
    "matplotlib": "report",
    "pandas": "batch",
    "plotly": "app",
    "pyarrow": "batch",
    "python_multipart": "api",
    "starlette": "api",
    "streamlit": "app",
    "typst": "report",
    "uvicorn": "api",
}


def _analyze(options: argparse.Namespace) -> int:
    from faceloupe.analysis import pipeline  # heavy imports only after the arguments are checked
    from faceloupe.analysis.prefetch import use_one_network_thread
    from faceloupe.cli.report_table import table
    from faceloupe.report.build import build
    from faceloupe.report.write import refuse_report, write

    if options.out is not None:
        refuse_report(options.out)  # before the analysis, not after it
    settings = _settings(options)
    console = _Console()
    step = partial(console.progress, "Hashing")
    evidence_file = open_evidence(options.file, max_bytes=settings.max_bytes, step=step)
    if options.embedded is not None:
        evidence_file = _embedded(evidence_file, options.embedded, settings)
    _refuse_for_images(options, evidence_file.evidence)
    if evidence_file.evidence.media_type == "video":
        use_one_network_thread()
    networks = pipeline.Networks.load(settings)
    analysis = pipeline.analyze(evidence_file, networks, explain=options.out is not None, progress=console.progress)
    console.clear()
    report = build(analysis)
    _emit(report.to_json() if options.json else table(report))
    if options.out is not None:  # after printing: if the folder cannot be written, the result is not lost
        write(analysis, report, options.out)
    if report.outcome is Outcome.ERROR:
        _complain(f"{report.evidence.name} cannot be analyzed: {report.reason}")
        return 2
    return 0


def _embedded(evidence_file: EvidenceFile, number: int, settings: Settings) -> EvidenceFile:
    """Return an embedded content as a separate file; ``number`` counts from 1."""
    from faceloupe.media.sandbox.statements import open_embedded  # lazy import: other commands do not need it

    try:
        return open_embedded(evidence_file, number, settings=settings)
    except EvidenceError as problem:
        raise UsageError(str(problem)) from problem


def _refuse_for_images(options: argparse.Namespace, evidence: Evidence) -> None:
    named = [
        name
        for name, value in (("--frames", options.frames), ("--from", options.from_s), ("--to", options.to_s))
        if value is not None
    ]
    if named and evidence.media_type == "image" and evidence.format is not None:
        what = f"{printable_name(evidence.name)} is an image ({evidence.format})"
        raise UsageError(f"{what}; {', '.join(named)} can only be used with videos.")


def _validate(options: argparse.Namespace) -> int:
    from faceloupe.analysis import pipeline  # lazy import: other commands do not need it
    from faceloupe.evaluation import labeled_folder
    from faceloupe.report.write import refuse_taken

    if options.cases == (options.folder is not None):
        raise UsageError("validate needs either a folder or --cases.")
    settings = _settings(options)
    if options.cases:
        return _validate_cases(options, settings)
    if options.out is not None:
        refuse_taken(labeled_folder.WRITTEN, options.out)  # before the analysis, not after it
    networks = pipeline.Networks.load(settings)
    console = _Console()
    validation = labeled_folder.validate(options.folder, networks, progress=console.progress)
    console.clear()
    _emit(validation.to_json() if options.json else labeled_folder.table(validation))
    if options.out is not None:
        labeled_folder.write(validation, options.out)
    return 0


def _validate_cases(options: argparse.Namespace, settings: Settings) -> int:
    from faceloupe.analysis.pipeline import Networks  # lazy import: other commands do not need it
    from faceloupe.cases.store import CaseStore
    from faceloupe.cli.case import current_user
    from faceloupe.evaluation import regression
    from faceloupe.report.schema import json_text

    if options.out is not None:
        raise UsageError("--out goes with a folder, not with --cases; redirect the output of --json instead.")
    store = CaseStore(data_folder())
    console = _Console()
    examiner = current_user(options.examiner)
    result = regression.compare(store, Networks.load(settings), examiner=examiner, progress=console.progress)
    console.clear()
    console.emit(json_text(regression.as_dict(result)) if options.json else regression.table(result))
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    named = {name: getattr(options, name, None) for name in ("effort", "model", "frames", "from_s", "to_s")}
    return Settings.from_environment({name: value for name, value in named.items() if value is not None})


def _models(options: argparse.Namespace) -> int:
    from faceloupe.cli import models as models_command  # lazy import: other commands do not need it

    console = _Console()
    answer = models_command.ANSWERS[options.action](options, console.progress)
    console.clear()
    if answer.text:
        _emit(answer.text)
    for sentence in answer.complaints:
        _complain(sentence)
    return answer.code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        raise UsageError(f"{message}; see `{self.prog} --help`.")


def _model(text: str) -> str:
    if not text:  # most likely an unset variable in a script
        raise argparse.ArgumentTypeError("a model id was expected")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="faceloupe", description="Examine faces in images and videos for manipulation, offline and on a CPU."
    )
    parser.add_argument("--version", action="version", version=f"FaceLoupe {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    effort = _Parser(add_help=False)
    effort.add_argument(
        "--effort",
        choices=tuple(EFFORTS),
        help="amount of computation per score: quick (core network only), standard (core and expert) or thorough "
        f"(both, on more frames of a video) (default: {DEFAULT_EFFORT})",
    )
    scoring = _Parser(add_help=False, parents=[effort])
    scoring.add_argument(
        "--model",
        metavar="ID",
        type=_model,
        help="id of the model to use instead of an effort; see `faceloupe models list`",
    )
    about = "analyze one image or video"
    analyze = commands.add_parser("analyze", parents=[scoring], help=about, description=f"{about.capitalize()}.")
    analyze.add_argument("file", metavar="FILE", type=Path)
    analyze.add_argument("--json", action="store_true", help="print only the report as JSON")
    analyze.add_argument(
        "--out", metavar="DIR", type=folder, help="also write the report and the heatmaps to this folder"
    )
    analyze.add_argument(
        "--frames", metavar="N", type=int, help="number of video frames to analyze (default: chosen from the duration)"
    )
    analyze.add_argument(
        "--from", dest="from_s", metavar="S", type=float, help="analyze a video from this second (default: its start)"
    )
    analyze.add_argument(
        "--to", dest="to_s", metavar="S", type=float, help="analyze a video up to this second (default: its end)"
    )
    analyze.add_argument(
        "--embedded",
        metavar="N",
        type=int,
        help="analyze the Nth content that the file holds besides its picture, such as the video of a motion photo",
    )
    analyze.set_defaults(run=_analyze)
    about = "analyze folders, files and ZIPs into a table with one row per file"
    batch = commands.add_parser("batch", parents=[scoring], help=about, description=f"{about.capitalize()}.")
    batch_command.add_batch(batch)
    batch.set_defaults(run=lambda options: batch_command.batch(options, _settings(options), _Console()))
    about = "examine what a file says about itself: Content Credentials, generator traces, metadata, structure"
    lenses = commands.add_parser("lenses", parents=[scoring], help=about, description=f"{about.capitalize()}.")
    lenses_command.add_lenses(lenses)
    lenses.set_defaults(run=lambda options: lenses_command.lenses(options, _settings(options), _Console()))
    _add_validate(commands, scoring)
    about = "manage cases: evidence, results, notes, decisions, signatures and their log"
    case = commands.add_parser("case", help=about, description=f"{about.capitalize()}.")
    case_command.add_actions(case, effort)
    case.set_defaults(run=lambda options: case_command.ANSWERS[options.action](options, _Console()))
    for name, about, add, answer in (
        ("verify", "check an exported bundle", bundle.add_verify, bundle.verify),
        ("reproduce", "score the evidence of a bundle again and compare", bundle.add_reproduce, bundle.reproduce),
    ):
        of_bundle = commands.add_parser(name, help=about, description=f"{about.capitalize()}.")
        add(of_bundle)
        of_bundle.set_defaults(run=partial(_of_bundle, answer))
    _add_models(commands)
    about = "check the weights and a sample, and serve the app"
    app = commands.add_parser("app", help=about, description=f"{about.capitalize()}.")
    app.add_argument("--port", metavar="PORT", type=int, help="port to listen on (default: 8501)")
    app.add_argument("--address", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)")
    app.set_defaults(run=_app, log="app")
    about = "serve the HTTP API for other programs, and manage its keys"
    api = commands.add_parser("api", parents=[scoring], help=about, description=f"{about.capitalize()}.")
    api_command.add_api(api)
    api.set_defaults(run=_api, log="api")
    about = "make the password hash for an app on a shared workstation"
    hashing = commands.add_parser(
        "password", help=about, description=f"{about.capitalize()}; the password is read from the terminal or stdin."
    )
    hashing.set_defaults(run=_password)
    about = "give each examiner and reviewer a password to sign in to the app"
    people = commands.add_parser("people", help=about, description=f"{about.capitalize()}.")
    people_command.add_people(people)
    people.set_defaults(run=lambda options: people_command.answer(options, _Console()))
    return parser


def _app(options: argparse.Namespace) -> int:
    from faceloupe.ui.serve import serve  # lazy import: it loads torch

    return serve(port=options.port, address=options.address)


def _api(options: argparse.Namespace) -> int:
    if options.about == "key":
        return api_command.KEY_ACTIONS[options.action](options, _Console())
    return api_command.serve(options, _settings(options), _Console())


def _password(options: argparse.Namespace) -> int:
    """Print the hash of a password read from the terminal or stdin; other users could list an argument."""
    from faceloupe.ui.auth.password import PasswordHash  # lazy import: other commands do not need it

    _emit(str(PasswordHash.of(people_command.new_password())))
    return 0


def _of_bundle(answer: Callable[[argparse.Namespace, Console], int], options: argparse.Namespace) -> int:
    return answer(options, _Console())


def _add_validate(commands: "argparse._SubParsersAction[_Parser]", scoring: _Parser) -> None:
    about = "measure your own error rates on a folder with the subfolders real and fake, or compare decided items"
    validate = commands.add_parser("validate", parents=[scoring], help=about, description=f"{about.capitalize()}.")
    validate.add_argument("folder", metavar="DIR", type=folder, nargs="?")
    validate.add_argument(
        "--cases",
        action="store_true",
        help="instead of a folder: score every decided item of the cases again and list the outcomes that changed",
    )
    validate.add_argument(
        "--examiner",
        metavar="WHO",
        help="with --cases: name of the person who sees the results (default: the user who is logged in)",
    )
    validate.add_argument("--json", action="store_true", help="print only the result as JSON")
    validate.add_argument(
        "--out", metavar="DIR", type=folder, help="also write predictions, result and plots to this folder"
    )
    validate.set_defaults(run=_validate)


def _add_models(commands: "argparse._SubParsersAction[_Parser]") -> None:
    about = "manage models and their weights, and inspect checkpoint files"
    models = commands.add_parser("models", help=about, description=f"{about.capitalize()}.")
    models.set_defaults(run=_models)
    actions = models.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)
    listing = actions.add_parser("list", help="list the models", description="List the models of the weights folder.")
    listing.add_argument("--json", action="store_true", help="print only the list as JSON")
    verify = actions.add_parser("verify", help="check weights", description="Check weights against their records.")
    verify.add_argument("ids", metavar="ID", nargs="*", help="id of a model (default: all models)")
    about = "fetch missing weights"
    fetch = actions.add_parser("fetch", help=about, description=f"{about.capitalize()}, from FACELOUPE_RELEASES.")
    fetch.add_argument("ids", metavar="ID", nargs="*", help="id of a model (default: the model in use)")
    fetch.add_argument(
        "--from",
        dest="file",
        metavar="FILE",
        type=Path,
        help="install this file instead of downloading; its content identifies the model",
    )
    about = "export a network as ONNX or LiteRT, with its own record"
    export = actions.add_parser("export", help=about, description=f"{about.capitalize()}.")
    export.add_argument("id", metavar="ID", help="id of a model")
    target = export.add_mutually_exclusive_group(required=True)
    target.add_argument("--onnx", metavar="OUT.onnx", type=Path, help="file to write (needs the extra export)")
    target.add_argument("--tflite", metavar="OUT.tflite", type=Path, help="file to write (needs the extra litert)")
    export.add_argument("--int8", action="store_true", help="quantize the weights to 8 bits")
    export.add_argument(
        "--pictures",
        metavar="DIR",
        type=folder,
        help="folder of images with faces for the comparison (default: the bundled samples)",
    )
    export.add_argument(
        "--validate",
        dest="labeled",
        metavar="DIR",
        type=folder,
        help="measure the exported network's error rates on the subfolders real and fake",
    )
    about = "show what a checkpoint file contains and what loading it would do"
    inspect = actions.add_parser(
        "inspect", help=about, description=f"{about.capitalize()}, without running anything in it."
    )
    inspect.add_argument("file", metavar="FILE", type=Path)
    inspect.add_argument("--json", action="store_true", help="print only the findings as JSON")


class _OutputLost(Exception):
    """The output cannot be written, for example because stdout is a file on a full disk."""


def _emit(text: str, end: str = "\n") -> None:
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe. The command goes on, because its exit code is a result too.
        _discard(sys.stdout)
    except OSError as problem:
        raise _OutputLost from problem


def _complain(text: str) -> None:
    """Print a sentence on stderr in place of the progress, on one line even if it quotes names with line breaks."""
    try:
        _Console().clear()
        print(f"faceloupe: {printable_name(text)}", file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


class _Console:
    """The terminal as a ``Console``."""

    emit, complain = staticmethod(_emit), staticmethod(_complain)

    def progress(self, stage: str, share: float) -> None:
        if sys.stderr.isatty():
            print(f"{_START}{share:4.0%}  {stage}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if sys.stderr.isatty():
            print(_START, end="", file=sys.stderr, flush=True)


def _discard(stream: TextIO) -> None:
    """Redirect a stream to the null device, so that the interpreter does not complain about it at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(arguments: list[str] | None) -> int:
    try:
        options = _parser().parse_args(arguments)
        keep_log(getattr(options, "log", "command-line"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries warn about odd metadata; stderr is for our own messages
            code: int = options.run(options)
            return code
    except FaceLoupeError as problem:
        _complain(str(problem))
        return 2
    except KeyboardInterrupt:
        _complain("cancelled.")
        return 130
    except (_OutputLost, OSError):  # see main
        raise
    except Exception as problem:  # noqa: BLE001 - whatever it is, nobody is shown a traceback
        if isinstance(problem, ModuleNotFoundError) and (extra := _EXTRAS.get(problem.name or "")):
            _complain(f"this command needs {problem.name}; install it with pip install 'faceloupe[{extra}]'.")
            return 2
        _LOG.exception("A command failed")
        _complain(f"an unexpected error occurred ({type(problem).__name__}); see the log for details.")
        return 2
    except SystemExit as done:  # --help and --version
        return int(done.code or 0)


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0 success, 1 a check failed, 2 bad usage or an input that cannot be analyzed, 130 interrupted.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - it lives as long as we do
        getattr(sys, name).reconfigure(encoding="utf-8", errors="replace")
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except (_OutputLost, OSError) as problem:
        _discard(sys.stdout)
        cause = problem.__cause__ or problem
        if isinstance(cause, BrokenPipeError):  # from --help, which does not use _emit
            return 0
        _complain(f"the output cannot be written ({getattr(cause, 'strerror', cause)}).")
        return 2


def run() -> int:
    """Run ``main`` as a program: the console script and ``python -m faceloupe``."""
    # At exit, the collector would walk over all objects of torch several times, which takes half a second.
    atexit.register(gc.freeze)
    return main()


if __name__ == "__main__":
    sys.exit(run())
