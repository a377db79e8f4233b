"""Fuzzing of the HTTP API: ``python -m tools.fuzz_api --requests 10000 --seed 1`` (`make fuzzapi`).

There are four rounds of requests. Schemathesis makes good and bad requests from the API's own description, without any
key, with a valid key, and with a wrong key; the fourth round sends broken bodies. The API runs in a process of its own.
It must answer each request within a minute, with a status below 500 and as its description says; at the end no upload
and no temporary file may be left. Needs the ``schemathesis`` of requirements-fuzz.txt.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from faceloupe.samples import SAMPLES
from faceloupe.server.keys import ApiKeys
from tools.fuzz import MUTATORS

PATIENCE_S = 60
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 60  # for each operation in each run of schemathesis
HEAD = (
    "POST /v1/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=x\r\n"
)
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run the API with its temporary files and keys in the folder; yield its address; check that no file is left."""
    (folder / "tmp").mkdir(parents=True)
    environment = os.environ | {
        "TMPDIR": str(folder / "tmp"),
        "FACELOUPE_DATA": str(folder),
        "FACELOUPE_EFFORT": "quick",
    }
    command = [sys.executable, "-m", "faceloupe", "api", "--port", "0", "--rate", "1000000"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split("served on ")[1].split(";")[0].removesuffix("/v1")
            left = [path.name for path in (folder / "tmp").rglob("*") if path.is_file()]
            expect(not left, f"no file is left in the temporary folder: {left[:5]}")
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE_S)
        expect(code == 0, f"the API ends when it is told to ({code})")
        left = [path.name for path in (folder / "tmp").iterdir()]
        expect(not left, f"no folder is left either: {left[:5]}")
        expect("Traceback" not in (folder / "log").read_text(), "its log has no trace of an error")


def expect(holds: bool, what: str) -> None:
    """Stop if the API does not do what it should."""
    if not holds:
        raise SystemExit(f"failed: {what}")
    print(f"good  {what}", flush=True)


def described(
    address: str, folder: Path, *, program: str, requests: int, seed: int, key: str | None = None
) -> Counter[int]:
    """Let schemathesis send at least ``requests`` requests; return the number of answers by status."""
    statuses: Counter[int] = Counter()
    while statuses.total() < requests:
        har, seed = folder / f"{seed}.har", seed + 1
        command = [program, "run", f"{address}/v1/openapi.json", "--checks", CHECKS, "--max-examples", str(EXAMPLES)]
        command += ["--seed", str(seed), "--request-timeout", str(PATIENCE_S), "--report-har-path", str(har)]
        command += ["--generation-database", "none", "--warnings", "off", "--continue-on-failure", "--no-color"]
        command += [] if key is None else ["--header", f"Authorization: Bearer {key}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            print(done.stdout[-8000:], done.stderr[-2000:])
        expect(done.returncode == 0, f"schemathesis found nothing, seed {seed}")
        entries = json.loads(har.read_text())["log"]["entries"]
        statuses.update(entry["response"]["status"] for entry in entries)
        expect(bool(entries), f"{statuses.total()} requests: {dict(sorted(statuses.items()))}")
        har.unlink()
    return statuses


def broken(address: str, requests: int, seed: int) -> Counter[int]:
    """Send bodies that are cut short, too long or altered, on sockets that are closed, half closed or left open.

    A status of 0 means that the API closed the connection without an answer, as the request never arrived in full.
    """
    statuses: Counter[int] = Counter()
    samples = [sample.path.read_bytes()[:20_000] for sample in SAMPLES[:2]]  # short, as only the framing is tested here
    port = int(address.rpartition(":")[2])
    for number in range(requests):
        random = np.random.default_rng([seed, number])
        whole = bytearray(PART + samples[random.integers(len(samples))] + b"\r\n--x--\r\n")
        mutate = MUTATORS[random.integers(len(MUTATORS))]
        body = bytes(mutate(random, whole, samples))
        length = len(body) + int(random.choice([0, 0, 0, -7, 7]))
        framing = f"Content-Length: {length}" if random.random() < 0.8 else "Transfer-Encoding: chunked"
        head = HEAD.format(random.choice(["analyze", "verify"])) + framing + "\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
            answer = b""
            try:
                client.sendall(head.encode() + body)
                client.shutdown(socket.SHUT_WR) if length > len(body) or random.random() < 0.1 else None
                while part := client.recv(65536):
                    answer += part
            except TimeoutError:
                raise SystemExit(f"failed: body {number} of seed {seed} got no answer within {PATIENCE_S} s") from None
            except ConnectionError:
                pass  # refused before the client had sent everything
        status = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
        statuses[int(status[1]) if status else 0] += 1
    expect(max(statuses) < 500, f"{statuses.total()} broken bodies: {dict(sorted(statuses.items()))}")
    return statuses


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz the HTTP API.")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--schemathesis", default="schemathesis", help="the program")
    options = parser.parse_args()
    share, began = options.requests // 4, time.monotonic()
    statuses: Counter[int] = Counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-api-") as name:
        folder = Path(name)
        with served(folder) as address:
            described_here = partial(described, address, folder, program=options.schemathesis, requests=share)
            statuses += described_here(seed=options.seed)
            statuses += broken(address, share, options.seed)
            _, key = ApiKeys(folder).create("fuzz")
            statuses += described_here(seed=options.seed + 1000, key=key)
            statuses += described_here(seed=options.seed + 2000, key="wrong")
    spent_s = time.monotonic() - began
    expect(
        not any(status > 499 for status in statuses), f"{statuses.total()} requests in {spent_s:.0f} s, none a failure"
    )


if __name__ == "__main__":
    main()
