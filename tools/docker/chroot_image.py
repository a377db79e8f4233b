"""Executes the Dockerfile's own text in a Debian root file system, for machines without a container engine.

    python -m tools.docker.chroot_image FOLDER [--context FOLDER] [--target full] [--arg NAME=VALUE]... [--bind PATH]...

Needs root, debootstrap and util-linux; all files that it makes lie in FOLDER. It differs from an engine in two ways:
the base is Debian's own Python of the same version instead of the official image, and each stage's root is a copy, not
a layer. Package settings of the machine (``PIP_*``, proxies, certificates) reach the build through the environment, and
folders that they name through ``--bind``; neither ends up in the image.

At the end the image is run as on a workstation, but more strictly: as its own user, without a network except loopback,
with a read-only root file system except /data and a /tmp in memory. It must answer its health check and examine a
sample.
"""

import argparse
import errno
import fcntl
import fnmatch
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from tools.docker.dockerfile import Stage, expand, read

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = "src/faceloupe/samples/generated-portrait.jpg"
BASE = re.compile(r"python:3\.11-slim-bookworm")
PASSED = re.compile(r"PIP_\w+|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|(?i:https?_proxy|no_proxy)")
START_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
COMPILERS = ("cc", "gcc", "g++", "clang", "make", "ld", "pip", "pip3")


def sh(*command: object, **options: object) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in command], check=True, text=True, **options)


def context(folder: Path, source_root: Path) -> Path:
    """Copy the files of a folder that its .dockerignore lets through to the engine; return the copy."""
    lines = (source_root / ".dockerignore").read_text(encoding="utf-8").split("\n")
    rules = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    assert rules[0] == "*", "a list of what goes in was expected"
    taken = [rule[1:] for rule in rules if rule.startswith("!")]
    left = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    target = folder / "context"
    shutil.rmtree(target, ignore_errors=True)
    for name in taken:
        source, destination = source_root / name, target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            ignore = shutil.ignore_patterns(*left)
            shutil.copytree(source, destination, ignore=ignore)
        elif not any(fnmatch.fnmatch(source.name, rule) for rule in left):
            shutil.copy2(source, destination)
    return target


class Build:
    """Roots and environments of the stages."""

    def __init__(self, folder: Path, source_root: Path, arguments: dict[str, str], binds: list[Path]) -> None:
        self.folder, self.arguments, self.binds = folder, arguments, binds
        self.roots: dict[str, Path] = {}
        self.env: dict[str, dict[str, str]] = {}
        self.workdir: dict[str, str] = {}
        self.context = context(folder, source_root)

    def base(self) -> Path:
        """Return the root of Debian with its Python; it is made only once."""
        root = self.folder / "base"
        if not (root / "usr/local/bin/python").exists():
            packages = "python3,python3-venv,ca-certificates"
            sh("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", root, stdout=sys.stderr)
            (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        return root

    def stage(self, stage: Stage) -> None:
        """Execute one stage."""
        root = self.folder / f"root-{stage.name}"
        sh("rm", "-rf", "--one-file-system", root)
        if stage.base in self.roots:
            source, env = self.roots[stage.base], dict(self.env[stage.base])
        elif BASE.fullmatch(stage.base):
            source, env = self.base(), {"PATH": START_PATH}
        else:
            raise SystemExit(f"the base {stage.base} is not one that this script stands in for")
        sh("cp", "-a", source, root)
        self.workdir[stage.name] = self.workdir.get(stage.base, "/")
        self.roots[stage.name], self.env[stage.name] = root, env
        known = dict(env)
        for step in stage.steps:
            started = time.monotonic()
            if step.word == "ARG":
                name, _, default = step.rest.partition("=")
                known[name] = self.arguments.get(name, default)
            elif step.word == "ENV":
                for name, value in re.findall(r"(\w+)=(\S+)?", step.rest):
                    env[name] = known[name] = expand(value, known)
            elif step.word == "WORKDIR":
                self.workdir[stage.name] = step.rest
                (root / step.rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif step.word == "COPY":
                self.copy(stage.name, step.rest.split())
            elif step.word == "RUN":
                self.run(stage.name, step.rest, known)
            print(f"{time.monotonic() - started:6.1f} s  {stage.name}: {step.word} {step.rest[:90]}", flush=True)

    def copy(self, name: str, arguments: list[str]) -> None:
        origin = self.context
        if arguments[0].startswith("--from="):
            origin = self.roots[arguments.pop(0).partition("=")[2]]
        *sources, target = arguments
        destination = self.roots[name] / os.path.join(self.workdir[name], target).lstrip("/")
        for source in sources:
            matches = sorted(origin.glob(source.lstrip("/")))
            assert matches, f"COPY found no {source}"
            for path in matches:
                into = destination / path.name if target.endswith("/") and not path.is_dir() else destination
                into.parent.mkdir(parents=True, exist_ok=True)
                sh(
                    "cp",
                    "-a",
                    "--no-preserve=ownership",
                    f"{path}/." if path.is_dir() else path,
                    made(into, path.is_dir()),
                )

    def run(self, name: str, command: str, known: dict[str, str]) -> None:
        root = self.roots[name]
        passed = {key: value for key, value in os.environ.items() if PASSED.fullmatch(key)}
        mounts = [("proc", root / "proc", ("-t", "proc")), ("/dev", root / "dev", ("--bind",))]
        existed = {}
        for path in (*self.binds, Path("/etc/resolv.conf")):
            mount_point = root / str(path).lstrip("/")
            existed[mount_point] = mount_point.exists()
            if not existed[mount_point]:
                made(mount_point if path.is_dir() else mount_point.parent, True)
                if not path.is_dir():
                    mount_point.touch()
            mounts.append((path, mount_point, ("--bind", "-o", "ro")))
        for source, mount_point, options in mounts:
            sh("mount", *options, source, mount_point)
        try:
            variables = [f"{key}={value}" for key, value in (passed | known).items()]
            inside = f"cd {self.workdir[name]} && {command}"
            sh("chroot", root, "/usr/bin/env", "-i", *variables, "/bin/sh", "-c", inside, stdout=sys.stderr)
        finally:
            for _, mount_point, _ in reversed(mounts):
                sh("umount", mount_point)
            for mount_point, was_there in existed.items():
                if not was_there:
                    mount_point.rmdir() if mount_point.is_dir() else mount_point.unlink()


def made(path: Path, folder: bool) -> Path:
    if folder:
        path.mkdir(parents=True, exist_ok=True)
    return path


def loopback_up() -> None:
    with socket.socket() as probe:
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def serve(root: Path, plan: dict) -> dict:
    """Run the image in this namespace, which has no network; return the observations."""
    loopback_up()
    sh("mount", "--bind", root, root)
    for source, mount_point, options in (
        ("proc", "proc", ("-t", "proc")),
        ("/dev", "dev", ("--bind",)),
        ("tmpfs", "dev/shm", ("-t", "tmpfs", "-o", "mode=1777,size=64m")),
        ("tmpfs", "tmp", ("-t", "tmpfs", "-o", "mode=1777,size=512m")),
        (plan["volume"], "data", ("--bind",)),
    ):
        sh("mount", *options, source, root / mount_point)
    sh("mount", "-o", "remount,bind,ro", root, root)
    variables = [f"{key}={value}" for key, value in plan["env"].items()]
    user = ["chroot", f"--userspec={plan['user']}", str(root), "/usr/bin/env", "-i", f"--chdir={plan['workdir']}"]
    inside = [*user, *variables]

    def ask(*command: str) -> subprocess.CompletedProcess:
        return subprocess.run([*inside, *command], capture_output=True, text=True, timeout=300, check=False)

    seen = {"user": ask("id", "-u").stdout.strip()}
    for mount_point in ("/app/x", "/opt/venv/x", "/etc/x"):
        seen[f"write {mount_point}"] = ask("touch", mount_point).stderr.strip().rpartition(": ")[2] or "WRITTEN"
    dial = "import socket; s = socket.socket(); s.settimeout(3); print(s.connect_ex(('192.0.2.1', 443)))"
    seen["network"] = errno.errorcode.get(int(ask("python", "-c", dial).stdout), "CONNECTED")
    seen["compilers"] = [name for name in COMPILERS if ask("sh", "-c", f"command -v {name}").returncode == 0]
    started = time.monotonic()
    app = subprocess.Popen([*inside, *plan["command"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while app.poll() is None and time.monotonic() - started < 300:
            if ask(*plan["health"]).returncode == 0:
                seen["healthy_after_s"] = round(time.monotonic() - started, 1)
                break
            time.sleep(0.5)
        done = ask("faceloupe", "analyze", f"/app/{SAMPLE}", "--json")
        seen["sample"] = verdict_of(done.stdout) if done.returncode == 0 else done.stderr.strip()
        seen["case"] = ask("faceloupe", "case", "create", "Trial", "--examiner", "Nobody").stderr.strip() or "created"
    finally:
        app.terminate()
        seen["said"] = app.communicate(timeout=30)[0].splitlines()[:6]
    with socket.socket() as probe:
        probe.settimeout(1)
        seen["stopped"] = probe.connect_ex(("127.0.0.1", 8501)) != 0
    seen["written"] = sorted(str(path.relative_to(plan["volume"])) for path in Path(plan["volume"]).rglob("*"))[:12]
    return seen


def verdict_of(report: str) -> list[str]:
    """Return the outcome of a report and its score with two decimals; further digits differ between processors."""
    values = json.loads(report)
    return [values["outcome"], f"{values['score']:.2f}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--context", type=Path, default=ROOT, help="with the Dockerfile (default: this repository)")
    parser.add_argument("--target", default="full")
    parser.add_argument("--arg", action="append", default=[], metavar="NAME=VALUE", help="a build argument")
    parser.add_argument("--bind", action="append", default=[], type=Path, help="a folder the package settings name")
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)  # the second process, without a network
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.serve:
        print(json.dumps(serve(folder, options.serve), indent=2))
        return 0
    again = [sys.executable, "-m", "tools.docker.chroot_image", *sys.argv[1:]]
    if os.environ.get("FACELOUPE_CHROOT") != "1":  # all mounts end with this process
        os.environ["FACELOUPE_CHROOT"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", *again])
    folder.mkdir(parents=True, exist_ok=True)
    stages = read(options.context / "Dockerfile")
    build = Build(folder, options.context, dict(assignment.split("=", 1) for assignment in options.arg), options.bind)
    by_name = {stage.name: stage for stage in stages}
    started = time.monotonic()
    for stage in stages:
        build.stage(stage)
        if stage.name == options.target:
            break
    print(f"{time.monotonic() - started:6.1f} s  in all")
    root = build.roots[options.target]
    for path in (root, root / "opt/venv", root / "app"):
        size = sh("du", "-s", "--block-size=1", path, capture_output=True).stdout.split()[0]
        print(f"{int(size) / 1e6:8.0f} MB  {path.relative_to(root.parent)}")

    def effective(word: str) -> str:
        stage = by_name[options.target]
        while (step := stage.last(word)) is None:
            stage = by_name[stage.base]
        return step

    volume = folder / "volume"
    shutil.rmtree(volume, ignore_errors=True)
    shutil.copytree(root / "data", volume)
    user = effective("USER").rest
    sh("chown", "-R", user, volume)
    plan = {
        "user": user,
        "env": build.env[options.target],
        "workdir": build.workdir[options.target],
        "volume": str(volume),
        "health": effective("HEALTHCHECK").listed,
        "command": effective("CMD").listed,
    }
    apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", sys.executable, "-m"]
    done = sh(*apart, "tools.docker.chroot_image", root, "--serve", json.dumps(plan), capture_output=True)
    print(done.stdout)
    seen = json.loads(done.stdout)
    here = sh(sys.executable, "-m", "faceloupe", "analyze", ROOT / SAMPLE, "--json", capture_output=True).stdout
    sound = (
        seen["user"] != "0"
        and "healthy_after_s" in seen
        and seen["sample"] == verdict_of(here)
        and seen["case"] == "created"
        and seen["network"] == "ENETUNREACH"
        and not seen["compilers"]
        and seen["stopped"]
        and all(why == "Read-only file system" for key, why in seen.items() if key.startswith("write "))
    )
    print("the image does what it should" if sound else "the image does NOT do what it should")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
