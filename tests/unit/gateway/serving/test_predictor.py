"""A note keeps its slot as long as TorchServe has it, whoever waits for the answer."""

import asyncio
from typing import Any

import pytest

from clincode.types import Note
from gateway.errors import GatewayError
from gateway.serving import predictor as module
from gateway.serving.predictor import Predictor
from gateway.serving.routing import FixedRouting
from gateway.serving.scheduler import Priority, Scheduler

NOTE = Note("00000000-0000-4000-8000-000000000000", "Denies chest pain.")


class SlowModel:
    """Stands for TorchServe, which goes on with a note that nobody waits for any more."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def predict(self, note: Note, _request_id: str) -> dict[str, Any]:
        await asyncio.sleep(self.seconds)
        return {"note_id": note.note_id}

    async def close(self) -> None: ...


def slow_predictor(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, seconds: float) -> Predictor:
    predictor = Predictor(FixedRouting("http://127.0.0.1:9/x", tmp_path / "key_file.json"), Scheduler(1, 10))
    monkeypatch.setattr(predictor, "_client", lambda _target: SlowModel(seconds))
    return predictor


def test_who_gives_up_leaves_the_slot_taken_until_the_model_is_done(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        predictor = slow_predictor(tmp_path, monkeypatch, 0.1)
        with pytest.raises(GatewayError) as refusal:
            await predictor.predict(NOTE, Priority.NORMAL_REQUEST, seconds=0.01, request_id="a")
        assert (refusal.value.status, predictor.scheduler.in_use) == (504, 1)
        prediction = await predictor.predict(NOTE, Priority.NORMAL_REQUEST, seconds=5, request_id="b")
        assert prediction.waited > 0.05
        assert predictor.scheduler.in_use == 0
        await predictor.close()

    asyncio.run(run())


def test_a_model_that_hangs_gives_its_slot_back_in_the_end(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        monkeypatch.setattr(module, "_LINGER_SECONDS", 0.05)
        predictor = slow_predictor(tmp_path, monkeypatch, 60)
        with pytest.raises(GatewayError):
            await predictor.predict(NOTE, Priority.NORMAL_REQUEST, seconds=0.01, request_id="a")
        await asyncio.sleep(0.1)
        assert predictor.scheduler.in_use == 0

    asyncio.run(run())


def test_closing_ends_what_is_under_way(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        predictor = slow_predictor(tmp_path, monkeypatch, 60)
        with pytest.raises(GatewayError):
            await predictor.predict(NOTE, Priority.NORMAL_REQUEST, seconds=0.01, request_id="a")
        await predictor.close()
        assert predictor.scheduler.in_use == 0

    asyncio.run(run())
