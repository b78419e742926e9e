"""Files come from a server on this machine that cuts, refuses and lies."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from medeor import cache
from medeor.catalogue import Copy, Facts, facts, find, locate
from medeor.catalogue.download import download
from medeor.contracts import UserError

CONTENT = bytes(range(256)) * 2000
"""512,000 bytes: more than one block."""
FAST = (0.0, 0.0)


def quiet(what: str, done: int, total: int, note: str = "") -> None:
    return None


def is_content(path: Path) -> bool:
    return path.read_bytes() == CONTENT


@dataclass
class Server:
    """A server with one file, and how it behaves."""

    address: str = ""
    content: bytes = CONTENT
    tag: str = '"one"'
    ranges: bool = True
    from_the_start: bool = False
    """Whether an answer that should continue (206) begins at the first byte, and says so."""
    cuts: list[int] = field(default_factory=list)
    """After how many bytes each of the next answers ends."""
    errors: list[int] = field(default_factory=list)
    """The codes of the next answers."""
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(dict(self.headers))
            if state.errors:
                self.send_error(state.errors.pop(0))
                return
            start = 0
            asked = self.headers.get("Range")
            if asked and state.ranges and self.headers.get("If-Range", state.tag) == state.tag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(state.content):
                    self.send_error(416)
                    return
                start = 0 if state.from_the_start else start
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            else:
                self.send_response(200)
            body = state.content[start:]
            self.send_header("Content-Length", str(len(body)))
            if state.tag:
                self.send_header("ETag", state.tag)
            self.end_headers()
            self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, *args: object) -> None:
            return None

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state.address = f"http://127.0.0.1:{running.server_port}/set.npz"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "datasets" / "set.npz"


def left(place: Path) -> list[str]:
    return sorted(item.name for item in place.parent.iterdir())


def test_downloads_with_progress(server: Server, place: Path) -> None:
    said = []
    download(server.address, place, is_content, lambda what, done, total, note="": said.append((done, total)), (), FAST)
    assert is_content(place)
    assert left(place) == ["set.npz"]
    assert said[-1] == (512, 512)
    assert [done for done, _ in said] == sorted(done for done, _ in said)


def test_a_cut_connection_is_continued_where_it_was(server: Server, place: Path) -> None:
    server.cuts = [100_000, 50_000]
    download(server.address, place, is_content, quiet, (), FAST)
    assert is_content(place)
    assert [asked.get("Range") for asked in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert server.asked[1]["If-Range"] == '"one"'
    assert left(place) == ["set.npz"]


def test_a_later_call_continues_what_an_earlier_one_left(server: Server, place: Path) -> None:
    server.cuts, server.errors = [100_000], []
    with pytest.raises(UserError, match="what came so far is kept"):
        download(server.address, place, is_content, quiet, (), ())
    assert place.with_name("set.npz.part").stat().st_size == 100_000
    download(server.address, place, is_content, quiet, (), FAST)
    assert is_content(place)
    assert server.asked[-1]["Range"] == "bytes=100000-"


def test_a_server_that_cannot_continue_sends_all_again(server: Server, place: Path) -> None:
    server.ranges, server.cuts = False, [100_000]
    download(server.address, place, is_content, quiet, (), FAST)
    assert is_content(place)


def test_what_begins_elsewhere_than_asked_is_not_appended(server: Server, place: Path) -> None:
    server.from_the_start, server.cuts = True, [100_000]
    download(server.address, place, is_content, quiet, (), FAST)
    assert is_content(place)
    assert [asked.get("Range") for asked in server.asked] == [None, "bytes=100000-"]


def test_a_weak_validator_is_not_sent_back(server: Server, place: Path) -> None:
    """RFC 9110, 13.1.5: a client must not generate an If-Range header field with a weak entity tag."""
    server.tag, server.cuts = 'W/"one"', [100_000]
    download(server.address, place, is_content, quiet, (), FAST)
    assert is_content(place)
    assert server.asked[1]["Range"] == "bytes=100000-"
    assert "If-Range" not in server.asked[1]


def test_a_file_that_changed_meanwhile_is_not_mixed_with_the_old(server: Server, place: Path) -> None:
    server.content, server.cuts = b"old" * 200_000, [100_000]
    with pytest.raises(UserError):
        download(server.address, place, is_content, quiet, (), ())
    server.content, server.tag = CONTENT, '"two"'
    download(server.address, place, is_content, quiet, (), FAST)
    assert is_content(place)


@pytest.mark.parametrize("part", [b"another file " * 1000, CONTENT + b"and more"])
def test_a_foreign_part_is_thrown_away(server: Server, place: Path, part: bytes) -> None:
    server.tag = ""
    place.parent.mkdir()
    place.with_name("set.npz.part").write_bytes(part)
    download(server.address, place, is_content, quiet, (), FAST)
    assert is_content(place)
    assert left(place) == ["set.npz"]


def test_a_part_that_is_already_whole_is_used(server: Server, place: Path) -> None:
    place.parent.mkdir()
    place.with_name("set.npz.part").write_bytes(CONTENT)
    download(server.address, place, is_content, quiet, (), FAST)
    assert is_content(place)
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server: Server, place: Path) -> None:
    server.errors = [503, 429]
    download(server.address, place, is_content, quiet, (), FAST)
    assert is_content(place)


def test_a_server_that_gives_ever_less_is_given_up(server: Server, place: Path) -> None:
    server.ranges, server.cuts = False, [1000] * 50
    with pytest.raises(UserError, match="ended after 1000 of 512000 bytes"):
        download(server.address, place, is_content, quiet, (), FAST)
    assert len(server.asked) == 1 + len(FAST)


def test_a_wrong_checksum_leaves_nothing(server: Server, place: Path) -> None:
    server.content = b"not the data set"
    with pytest.raises(UserError, match=r"wrong checksum.*removed.*known: md5 abc"):
        download(server.address, place, is_content, quiet, ("md5 abc",), FAST)
    assert left(place) == []


def test_an_address_that_is_gone_says_so_at_once(server: Server, place: Path) -> None:
    server.errors = [404] * 9
    with pytest.raises(UserError, match=r"answered 404.*MEDEOR_DATA"):
        download(server.address, place, is_content, quiet, (), FAST)
    assert len(server.asked) == 1
    assert left(place) == []


def test_without_a_network_says_where_it_looked(server: Server, place: Path) -> None:
    closed = "http://127.0.0.1:9/set.npz"
    with pytest.raises(UserError, match=f"cannot download {closed}.*MEDEOR_DATA nor in {place.parent}"):
        download(closed, place, is_content, quiet, (), FAST)


# --- locate ---------------------------------------------------------------------------------------------


@pytest.fixture
def known(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    """BreastMNIST as if it were published by this server."""
    mine = replace(
        facts("breastmnist"),
        address=server.address,
        md5=hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
        sha256="",
        copies=(Copy(hashlib.sha256(b"re-packed").hexdigest(), "re-packed"),),
    )
    monkeypatch.setattr(find, "facts", lambda name: mine if name == "breastmnist" else facts(name))
    monkeypatch.setenv("MEDEOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MEDEOR_DATA", raising=False)
    return mine


def test_locate_downloads_once_into_the_cache(server: Server, known: Facts, tmp_path: Path) -> None:
    path = locate("breastmnist", quiet)
    assert path == tmp_path / "cache" / cache.DOWNLOADS / "breastmnist.npz"
    assert locate("breastmnist", quiet) == path
    assert len(server.asked) == 1


def test_locate_mends_a_damaged_file_of_the_cache(server: Server, known: Facts) -> None:
    path = locate("breastmnist", quiet)
    path.write_bytes(CONTENT[:-1])
    assert is_content(locate("breastmnist", quiet))
    assert len(server.asked) == 2


@pytest.mark.parametrize("content", [CONTENT, b"re-packed"])
def test_the_users_folder_comes_first(
    server: Server, known: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    locate("breastmnist", quiet)
    mine = tmp_path / "mine" / "images" / "breast" / "breastmnist.npz"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(content)
    (tmp_path / "mine" / "a").mkdir()
    (tmp_path / "mine" / "a" / "breastmnist.npz").write_bytes(b"damaged, but not the only one")
    monkeypatch.setenv("MEDEOR_DATA", str(tmp_path / "mine"))
    assert locate("breastmnist", quiet) == mine
    assert len(server.asked) == 1


def test_a_wrong_file_in_the_users_folder_is_named_with_what_is_known(
    server: Server, known: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "breastmnist.npz"
    wrong.write_bytes(b"wrong")
    monkeypatch.setenv("MEDEOR_DATA", str(tmp_path))
    with pytest.raises(UserError) as caught:
        locate("breastmnist", quiet)
    for part in (str(wrong), hashlib.sha256(b"wrong").hexdigest(), known.md5, known.copies[0].sha256):
        assert part in str(caught.value)
    assert server.asked == []


def test_a_cache_that_is_off_gets_no_download(known: Facts, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_CACHE", "off")
    with pytest.raises(UserError, match="the cache is off"):
        locate("breastmnist", quiet)
    assert server.asked == []


def test_a_folder_of_tiles_is_found_by_its_name_and_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDEOR_DATA", raising=False)
    with pytest.raises(UserError, match=r"MEDEOR_DATA is not set: put a folder 'pcam' with labels\.csv, tiles"):
        locate("pcam", quiet)
    monkeypatch.setenv("MEDEOR_DATA", str(tmp_path))
    (tmp_path / "a" / "pcam").mkdir(parents=True)
    with pytest.raises(UserError, match="was not found below MEDEOR_DATA"):
        locate("pcam", quiet)
    (tmp_path / "b" / "pcam" / "tiles").mkdir(parents=True)
    (tmp_path / "b" / "pcam" / "labels.csv").write_text("file,tumour\n")
    assert locate("pcam", quiet) == tmp_path / "b" / "pcam"
    monkeypatch.setenv("MEDEOR_DATA", str(tmp_path / "b" / "pcam"))
    assert locate("pcam", quiet) == tmp_path / "b" / "pcam"


def test_a_missing_users_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDEOR_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere is not a folder"):
        locate("breastmnist", quiet)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UserError, match="no data set 'chestnist'"):
        locate("chestnist", quiet)


@pytest.mark.data
@pytest.mark.parametrize("name", ["breastmnist", "pneumoniamnist", "pcam"])
def test_real_sets_are_found(real_data: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDEOR_DATA", str(real_data))
    assert locate(name, quiet).stem == name
