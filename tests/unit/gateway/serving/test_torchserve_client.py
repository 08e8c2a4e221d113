"""What TorchServe's answers mean, over real HTTP."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from torchserve_stand_in import (
    BUSY,
    NO_MODEL,
    STARTING,
    VERSION,
    Behaviour,
    Reply,
    StandIn,
    breaks_off,
    refuses,
    says,
    slowly,
    worker_died,
)

from clincode.types import Note
from gateway.errors import GatewayError, ModelUnavailableError
from gateway.serving.torchserve import BrokenOffError, TorchServe

TEXT = "Zyxwort carcinoma of the Quibblebone."
NOTE = Note("3f2b8c1e-5d7a-4e0b-9c6f-2a1d4b8e7f90", TEXT)


def ask(stand_in: StandIn, times: int = 1, *, between: Any = None, **options: Any) -> list[dict[str, Any]]:
    """The answers of one client; ``between`` is called before each but the first."""

    async def run() -> list[dict[str, Any]]:
        client = TorchServe(stand_in.url, stand_in.key_file, **options)
        try:
            found = [await client.predict(NOTE, "req-0")]
            for number in range(1, times):
                between()
                found.append(await client.predict(NOTE, f"req-{number}"))
            return found
        finally:
            await client.close()

    return asyncio.run(run())


def test_the_note_goes_out_as_the_contract_has_it_with_key_and_request_id(torchserve: StandIn) -> None:
    (answer,) = ask(torchserve)
    assert answer["model_version"] == VERSION
    (received,) = torchserve.received
    assert received.note == {"note_id": NOTE.note_id, "note_text": TEXT, "note_type": "progress_note"}
    assert received.headers["x-request-id"] == "req-0"
    assert received.headers["authorization"] == f"Bearer {torchserve.key}"
    assert received.headers["content-type"] == "application/json"


def test_the_key_is_read_again_after_a_restart_and_only_then(torchserve: StandIn) -> None:
    ask(torchserve, 2, between=torchserve.new_key)
    assert (len(torchserve.received), torchserve.refused_keys) == (2, 1)
    ask(torchserve, 3, between=lambda: None)
    assert torchserve.refused_keys == 1


def test_a_key_that_stays_wrong_is_asked_twice_at_most(torchserve: StandIn) -> None:
    torchserve.key = "another"
    with pytest.raises(ModelUnavailableError) as fault:
        ask(torchserve)
    assert not isinstance(fault.value, BrokenOffError)
    assert torchserve.refused_keys == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"inference": 3}', None])
def test_a_key_file_that_cannot_be_read_is_no_answer_of_the_model(torchserve: StandIn, content: str | None) -> None:
    torchserve.key_file.unlink()
    if content is not None:
        torchserve.key_file.write_text(content, encoding="utf-8")
    with pytest.raises(ModelUnavailableError, match="key file"):
        ask(torchserve)


AWAY, BROKEN = ModelUnavailableError, BrokenOffError


@pytest.mark.parametrize(
    ("behaviour", "kind", "status", "code"),
    [
        (says(422, "string_too_long", "note_text"), GatewayError, 422, "string_too_long"),
        (says(413, "body_too_large"), GatewayError, 413, "body_too_large"),
        (says(500, "analysis_failed"), GatewayError, 500, "analysis_failed"),
        (BUSY, AWAY, 503, "model_unavailable"),
        (STARTING, AWAY, 503, "model_unavailable"),
        (NO_MODEL, AWAY, 503, "model_unavailable"),
        (refuses(400, "BadRequestException", "Parameter is required"), AWAY, 503, "model_unavailable"),
        (lambda _: Reply(502, b"<html>bad gateway</html>"), AWAY, 503, "model_unavailable"),
        (lambda _: Reply(200, b"<html>welcome</html>"), AWAY, 503, "model_unavailable"),
        (lambda _: Reply(200, {"entities": []}), AWAY, 503, "model_unavailable"),
        (lambda _: Reply(200, {"error": {"code": "x", "message": "y"}}), AWAY, 503, "model_unavailable"),
        (lambda _: Reply(302, b""), AWAY, 503, "model_unavailable"),
        (worker_died, BROKEN, 503, "model_unavailable"),
        (refuses(503, "InternalServerException", "Worker died."), BROKEN, 503, "model_unavailable"),
        (refuses(500, "InternalServerException", "number of batch response mismatched"), BROKEN, 503, None),
        (refuses(507, "OutOfMemoryError", "Out of memory"), BROKEN, 503, None),
        (breaks_off, BROKEN, 503, "model_unavailable"),
        (slowly(0.5), BROKEN, 503, "model_unavailable"),
    ],
)
def test_each_fault_has_its_meaning_and_quotes_nothing(
    torchserve: StandIn, behaviour: Behaviour, kind: type[GatewayError], status: int, code: str | None
) -> None:
    torchserve.next.append(behaviour)
    with pytest.raises(GatewayError) as fault:
        ask(torchserve, timeout_seconds=0.2)
    assert (type(fault.value), fault.value.status) == (kind, status)
    assert code in (None, fault.value.body.code)
    told = [repr(fault.value), json.dumps(fault.value.body.to_dict())]
    error: BaseException | None = fault.value
    while error is not None:  # nor what it came from, which a traceback would show
        told.append(f"{error} {error.args}")
        error = None if error.__suppress_context__ else error.__context__
    assert not any(word in text for word in TEXT.split() if len(word) > 4 for text in told)


def test_the_word_of_the_handler_keeps_its_field(torchserve: StandIn) -> None:
    torchserve.next.append(says(422, "blank_text", "note_text"))
    with pytest.raises(GatewayError) as fault:
        ask(torchserve)
    assert fault.value.body.field == "note_text"


def test_a_server_that_is_down_is_away_and_may_come_back(torchserve: StandIn) -> None:
    torchserve.stop()
    with pytest.raises(ModelUnavailableError) as fault:
        ask(torchserve)
    assert (type(fault.value), fault.value.retry_after) == (ModelUnavailableError, 5)
    torchserve.start()
    assert ask(torchserve)


def test_a_restart_between_two_notes_loses_neither(torchserve: StandIn) -> None:
    def restart() -> None:
        torchserve.stop()
        torchserve.start()

    assert len(ask(torchserve, 3, between=restart)) == 3


def test_notes_go_to_torchserve_itself_whatever_proxy_the_environment_names(
    torchserve: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        proxy = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert ask(torchserve)
