"""HTTP requests for a file, and checks that the response contains it: redirects, errors, HTML pages in its place."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit

import requests

from faceloupe import __version__
from faceloupe.errors import WeightsError
from faceloupe.media.evidence_file import printable_name

_MOST_REDIRECTS = 5
_PASSING = {408, 425, 429}  # transient status codes, in addition to all 5xx
_LONGEST_WORD = 80
OFFLINE = "or install the file with `faceloupe models fetch --from FILE`"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Timeouts and the number of attempts of a download.

    Attributes:
        connect_s: timeout for a connection, seconds.
        silence_s: timeout for the next byte, seconds.
        window_s: time over which the speed is measured, seconds; a very slow stream never runs into ``silence_s``.
        least_bytes_s: lowest accepted speed, bytes per second.
        attempts: greatest number of attempts.
        pause_s: pause before the second attempt, seconds; it doubles with each further attempt.
    """

    connect_s: float = 10.0
    silence_s: float = 30.0
    window_s: float = 30.0
    least_bytes_s: float = 1024.0
    attempts: int = 5
    pause_s: float = 1.0


class TransientError(Exception):
    """An error that may not recur at the next attempt; its text is the middle of a sentence."""


class Session(requests.Session):
    """A session that leaves redirects unread; requests reads their bodies even with ``allow_redirects=False``."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None, because ``ask`` follows redirects itself to check each address."""
        return None


def loopback(host: str) -> bool:
    """Return whether a host name is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def ask(session: requests.Session, address: str, part: Path, size: int, retry_policy: RetryPolicy) -> requests.Response:
    """Request a file and return the response, whose body is the rest of the file or the whole file.

    Args:
        session: see ``Session``.
        address: address of the file.
        part: the partial file; the request asks only for the bytes after its end.
        size: size of the whole file, bytes.
        retry_policy: timeouts.

    Raises:
        TransientError: another attempt may succeed.
        WeightsError: the address, the certificate or the response is not acceptable.
    """
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    headers = {"Accept-Encoding": "identity", "User-Agent": f"FaceLoupe/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
    url = address
    for _ in range(_MOST_REDIRECTS + 1):  # redirects are followed here because none may leave https
        _refuse_plain(url, address)
        try:
            answer = session.get(
                url,
                headers=headers,
                stream=True,
                timeout=(retry_policy.connect_s, retry_policy.silence_s),
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as problem:
            raise WeightsError(
                f"The certificate of {host_of(url)} cannot be verified, so nothing was downloaded; if a proxy uses its "
                f"own certificate, set REQUESTS_CA_BUNDLE to its file, {OFFLINE}."
            ) from problem
        except requests.Timeout as problem:
            raise TransientError(f"{host_of(url)} did not answer in time") from problem
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidProxyURL) as problem:
            raise WeightsError(f"{printable_name(url)} is not a valid address; {OFFLINE[3:]}.") from problem
        except requests.RequestException as problem:
            raise TransientError(f"{host_of(url)} cannot be reached") from problem
        target = requests.Session.get_redirect_target(session, answer)
        if target is None:
            return _accepted(answer, url, part, have, size)
        answer.close()
        url = _joined(url, target)
    raise WeightsError(
        f"{printable_name(address)} redirects more than {_MOST_REDIRECTS} times, so nothing was downloaded; "
        f"check FACELOUPE_RELEASES, {OFFLINE}."
    )


def parts_of_address(url: str) -> SplitResult:
    """Split an address into its parts.

    Raises:
        WeightsError: it is not a valid address.
    """
    try:
        return urlsplit(url)
    except ValueError as problem:
        raise WeightsError(f"{printable_name(url)[:200]} is not a valid address; {OFFLINE[3:]}.") from problem


def _joined(url: str, target: str) -> str:
    parts_of_address(target)
    return urljoin(url, target)


def host_of(url: str) -> str:
    """Return the host of an address, for a message."""
    return printable_name(urlsplit(url).hostname or url)


def _refuse_plain(url: str, asked: str) -> None:
    parts = parts_of_address(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or (parts.scheme == "http" and loopback(host) and asked.startswith("http:")):
        return
    raise WeightsError(
        f"{printable_name(asked)} leads to {printable_name(url)[:200]}, but weights are only downloaded over https "
        f"(or http from this machine); check FACELOUPE_RELEASES, {OFFLINE}."
    )


def _accepted(answer: requests.Response, url: str, part: Path, have: int, size: int) -> requests.Response:
    """Return the response if it contains the file; its body is not read yet.

    Raises:
        TransientError, WeightsError: it does not contain the file.
    """
    status, kind = answer.status_code, answer.headers.get("Content-Type", "")
    status_line = printable_name(f"{status} {answer.reason}"[:_LONGEST_WORD])
    if status in _PASSING or status >= 500:
        answer.close()
        raise TransientError(f"{host_of(url)} answered {status_line}")
    if status == 416 or (status == 206 and not _goes_on(answer, have, size)):
        answer.close()
        part.unlink(missing_ok=True)
        raise TransientError(f"{host_of(url)} does not resume at byte {have:,}")
    if status not in (200, 206):
        answer.close()
        raise WeightsError(
            f"{printable_name(url)} answered {status_line}, so nothing was downloaded; check that FACELOUPE_RELEASES "
            f"names a readable release with this file, {OFFLINE}."
        )
    length = answer.headers.get("Content-Length", "")
    if "html" in kind.casefold() or (status == 200 and length.isdecimal() and int(length) != size):
        answer.close()
        came = f"{int(length):,} bytes" if length.isdecimal() else "something"
        raise WeightsError(
            f"{printable_name(url)} answered with {came} of type {printable_name(kind[:_LONGEST_WORD]) or 'unknown'} "
            f"instead of {size:,} bytes of weights, so nothing was saved; a login page, a proxy or "
            f"another file may be in the way: check FACELOUPE_RELEASES, {OFFLINE}."
        )
    return answer


def _goes_on(answer: requests.Response, have: int, size: int) -> bool:
    content_range = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
    return content_range is not None and (int(content_range[1]), int(content_range[2]), int(content_range[3])) == (
        have,
        size - 1,
        size,
    )
