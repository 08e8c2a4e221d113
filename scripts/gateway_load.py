"""Load for scripts/bench_gateway.py: notes, arrivals, clients, and what is made of their replies.

Run as a program, it stands in for TorchServe: gateway_load.py PORT WORKERS.
"""

import asyncio
import json
import random
import re
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from tqdm import tqdm

CLIENTS = 64
GRACE_SECONDS = 1.0
"""How much later than its deadline an answer may be seen by a client that shares the machine's cores."""
_BLOCK = 12
_TIMING = re.compile(r"(\w+);dur=([\d.]+)")


# --- what is sent


@dataclass(frozen=True, slots=True)
class Arrival:
    """A note that comes in ``due`` seconds after the start."""

    due: float
    text: str
    urgent: bool = False


def notes(seed: int, *, least: int = 50, most: int = 300) -> Iterator[str]:
    """Made-up progress notes without end, their lengths even between ``least`` and about ``most`` words."""
    rng = random.Random(seed)
    while True:
        target = rng.randint(least, most - 15)  # the last sentence may go beyond it
        parts = {name: [_sentence(rng, name)] for name in _SECTIONS}
        while sum(len(sentence.split()) for part in parts.values() for sentence in part) < target:
            name = rng.choices(list(_SECTIONS), weights=(5, 3, 1, 4, 4, 3, 4))[0]
            parts[name].append(_sentence(rng, name))
        yield "\n".join(f"{name}: {' '.join(sentences)}" for name, sentences in parts.items())


def poisson(rate: float, seconds: float, seed: int, *, urgent: bool = False) -> list[Arrival]:
    """Arrivals that know nothing of each other, ``rate`` of them a second on average."""
    rng, texts = random.Random(seed), notes(seed)
    arrivals, due = [], rng.expovariate(rate)
    while due < seconds:
        arrivals.append(Arrival(due, next(texts), urgent))
        due += rng.expovariate(rate)
    return arrivals


# --- who sends it


@dataclass(frozen=True, slots=True)
class Reply:
    """Seconds since the phase began. ``status`` is 0 where no answer came at all."""

    due: float
    sent: float
    ended: float
    status: int
    urgent: bool = False
    wait_ms: float = 0.0
    model_ms: float = 0.0
    has_timing: bool = False
    retry_after: bool = False

    @property
    def latency_ms(self) -> float:
        """From the moment it was due: a server that is slow must not be spared the notes that it held up."""
        return (self.ended - self.due) * 1000

    @property
    def own_ms(self) -> float:
        """What the gateway itself took: neither the queue nor the model, but HTTP, keys, database and this client."""
        return (self.ended - self.sent) * 1000 - self.wait_ms - self.model_ms


@dataclass(frozen=True)
class Service:
    """Something that answers notes: TorchServe alone, or a gateway in front of it."""

    url: str
    key: str
    deadline: float | None = None
    """Seconds that a gateway is told to take at most."""

    def client(self, connections: int) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        if self.deadline:
            headers["X-Deadline-Ms"] = str(round(self.deadline * 1000))
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        return httpx.AsyncClient(headers=headers, limits=limits, timeout=(self.deadline or 120) + 10)


async def open_loop(
    service: Service, arrivals: Sequence[Arrival], *, clients: int = CLIENTS, label: str = ""
) -> list[Reply]:
    """Every note at its time, whatever has become of those before it, as long as one of the clients is free."""
    free = asyncio.Semaphore(clients)
    start = time.perf_counter() + 0.1
    with tqdm(total=len(arrivals), desc=label, unit="note", leave=False) as progress:

        async def one(client: httpx.AsyncClient, arrival: Arrival) -> Reply:
            await asyncio.sleep(start + arrival.due - time.perf_counter())
            async with free:
                reply = await _send(client, service, arrival, start)
            progress.update()
            return reply

        async with service.client(clients) as client:
            return list(await asyncio.gather(*(one(client, arrival) for arrival in arrivals)))


async def closed_loop(
    service: Service, texts: Sequence[str], seconds: float, *, clients: int = CLIENTS, label: str = ""
) -> list[Reply]:
    """So many clients, each of which sends its next note when it has the answer to the one before. They begin within a
    second or two, not in the same moment."""
    replies: list[Reply] = []
    queue = iter(texts * (1 + int(seconds * 200) // len(texts)))
    start = time.perf_counter()
    with tqdm(desc=label, unit="note", leave=False) as progress:

        async def one(client: httpx.AsyncClient, delay: float) -> None:
            await asyncio.sleep(delay)
            while (now := time.perf_counter() - start) < seconds:
                replies.append(await _send(client, service, Arrival(now, next(queue)), start))
                progress.update()

        async with service.client(clients) as client:
            await asyncio.gather(*(one(client, 0.03 * number) for number in range(clients)))
    return replies


async def _send(client: httpx.AsyncClient, service: Service, arrival: Arrival, start: float) -> Reply:
    body = {
        "note_id": str(uuid.uuid4()),  # a known one would be answered from the database
        "note_text": arrival.text,
        "note_type": "progress_note",
        "priority": "urgent" if arrival.urgent else "normal",
    }
    sent = time.perf_counter()
    try:
        response = await client.post(service.url, content=json.dumps(body))
    except httpx.HTTPError:
        return Reply(arrival.due, sent - start, time.perf_counter() - start, 0, arrival.urgent)
    timing = dict(_TIMING.findall(response.headers.get("Server-Timing", "")))
    return Reply(
        due=arrival.due,
        sent=sent - start,
        ended=time.perf_counter() - start,
        status=response.status_code,
        urgent=arrival.urgent,
        wait_ms=float(timing.get("wait", 0)),
        model_ms=float(timing.get("model", 0)),
        has_timing="model" in timing,
        retry_after="Retry-After" in response.headers,
    )


# --- what is made of it


def percentile(values: Sequence[float], q: float) -> float:
    return round(float(np.percentile(values, q)), 1) if values else float("nan")


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"p50": percentile(values, 50), "p95": percentile(values, 95), "count": len(values)}


def throughput(replies: Sequence[Reply], seconds: float) -> float:
    """Answers a second while all clients were at it: what came after the last was sent does not count."""
    return round(sum(reply.status == 200 and reply.ended <= seconds for reply in replies) / seconds, 2)


def p95_difference(first: Sequence[float], second: Sequence[float], *, draws: int = 2000) -> tuple[float, float, float]:
    """p95 of the second less p95 of the first, and its 95% interval. The same notes at the same times stand at the same
    places of both, so they are drawn in pairs; and in runs, for notes that meet in a queue are slow together."""
    a, b = np.asarray(first), np.asarray(second)
    width = min(_BLOCK, len(a))
    starts = np.random.default_rng(7).integers(0, len(a) - width + 1, (draws, -(-len(a) // width), 1))
    picks = (starts + np.arange(width)).reshape(draws, -1)[:, : len(a)]
    differences = np.percentile(b[picks], 95, axis=1) - np.percentile(a[picks], 95, axis=1)
    low, high = np.percentile(differences, [2.5, 97.5])
    return tuple(round(float(x), 1) for x in (np.percentile(b, 95) - np.percentile(a, 95), low, high))


def verdict(value: float, limit: float, low: float | None = None, high: float | None = None) -> str:
    """``met`` or ``missed``, and ``open`` where the interval has the limit in it: such a figure proves neither."""
    if low is not None and high is not None and low <= limit < high:
        return "open"
    return "met" if value <= limit else "missed"


def endings(replies: Sequence[Reply], deadline: float) -> dict[str, int]:
    """How requests ended, by the only ways that they may end; all else is a fault of its own name."""
    counts = dict.fromkeys(("answered", "refused_503", "too_late_504", "over_deadline", "hung", "other"), 0)
    for reply in replies:
        counts[_ending(reply, deadline)] += 1
    return counts


def _ending(reply: Reply, deadline: float) -> str:
    if reply.status == 0:
        return "hung"
    if reply.ended - reply.sent > deadline + GRACE_SECONDS:
        return "over_deadline"
    if reply.status == 503:
        return "refused_503" if reply.retry_after else "other"
    return {200: "answered", 504: "too_late_504"}.get(reply.status, "other")


# --- a stand-in for TorchServe

MEAN_WORDS = 184
"""Of a note as ``notes`` makes it."""


def stand_in_seconds(words: int, workers: int) -> float:
    """What a note took on two quiet cores of an AMD EPYC: 0.15 s for one of mean length, and each of two workers, which
    have one core each, 0.17 s."""
    return (0.03 + 0.00065 * words) * (1.0 if workers == 1 else 1.16)


def stand_in(port: int, workers: int) -> None:
    """Answer one note after another, or as many at once as there are workers."""
    import uvicorn

    free = asyncio.Semaphore(workers)

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        note = json.loads(body)
        async with free:
            await asyncio.sleep(stand_in_seconds(len(note["note_text"].split()), workers))
        empty: dict[str, list[Any]] = {n: [] for n in ("entities", "codes", "references", "redactions", "warnings")}
        answer = {"note_id": note["note_id"], **empty, "processing_time_ms": 0, "model_version": "none"}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    uvicorn.run(app, port=port, log_level="error", lifespan="off")


# --- what the notes are made of

_SECTIONS = {
    "SUBJECTIVE": (
        "The patient is a {age}-year-old {sex} who presents with {symptom} for the past {number} days.",
        "Reports {symptom} and {symptom}, worse in the {time}.",
        "Denies {symptom}, {symptom} or {symptom}.",
        "There was no relief after {drug} at home.",
        "The symptoms began {number} weeks ago after a hospital stay for {disease}.",
    ),
    "PAST MEDICAL HISTORY": (
        "History of {disease} and {disease}.",
        "Status post {procedure} in 20{year}.",
        "Known {disease}, treated with {drug} {dose} mg daily.",
    ),
    "FAMILY HISTORY": ("Father had {disease}.", "Mother died of {disease} at the age of {age}.", "No {disease}."),
    "EXAMINATION": (
        "Blood pressure {systolic}/{diastolic} mmHg, heart rate {rate}, temperature 37.{digit}.",
        "The {organ} was without tenderness.",
        "Mild edema over the left {organ}, no erythema.",
        "Lungs were clear without wheezing, heart sounds regular.",
    ),
    "RESULTS": (
        "{test} was {number}.{digit}, {test} within normal limits.",
        "{imaging} showed no evidence of {disease}.",
        "{imaging} of the {organ} revealed changes that may represent {disease}.",
    ),
    "ASSESSMENT": (
        "{disease}, likely secondary to {disease}.",
        "Possible {disease}; {disease} was ruled out.",
        "Acute on chronic {disease}, improving on {drug}.",
    ),
    "PLAN": (
        "Start {drug} {dose} mg twice daily and stop {drug}.",
        "{procedure} is scheduled for next week, {test} before it.",
        "Repeat {test} and {imaging} in {number} days.",
        "Follow up with cardiology if {symptom} recurs.",
    ),
}
_WORDS = {
    "sex": ("man", "woman"),
    "time": ("morning", "evening", "night"),
    "symptom": (
        "chest pain", "dyspnea", "nausea", "vomiting", "headache", "dizziness", "fatigue", "fever", "abdominal pain",
        "palpitations", "cough", "back pain", "shortness of breath on exertion", "weight loss", "night sweats",
    ),
    "disease": (
        "hypertension", "type 2 diabetes mellitus", "atrial fibrillation", "congestive heart failure", "pneumonia",
        "chronic kidney disease", "COPD", "asthma", "hypothyroidism", "gout", "deep vein thrombosis", "anemia",
        "colon cancer", "urinary tract infection", "osteoarthritis", "coronary artery disease", "pancreatitis",
    ),
    "drug": (
        "metoprolol", "lisinopril", "metformin", "furosemide", "aspirin", "atorvastatin", "warfarin", "amoxicillin",
        "prednisone", "omeprazole", "levothyroxine", "gabapentin", "albuterol", "insulin glargine",
    ),
    "procedure": ("Colonoscopy", "Cholecystectomy", "Appendectomy", "Coronary angiography", "Knee arthroscopy"),
    "organ": ("abdomen", "right knee", "ankle", "lower back", "liver", "left shoulder", "neck"),
    "test": ("Creatinine", "Hemoglobin A1c", "Troponin", "TSH", "Potassium", "White blood cell count", "INR"),
    "imaging": ("Chest x-ray", "CT", "MRI", "Ultrasound", "Echocardiogram"),
}  # fmt: skip
_NUMBERS = {
    "age": (30, 90), "number": (2, 14), "year": (10, 24), "dose": (5, 100), "systolic": (100, 180),
    "diastolic": (55, 100), "rate": (55, 120), "digit": (0, 9),
}  # fmt: skip


def _sentence(rng: random.Random, section: str) -> str:
    def word(match: re.Match[str]) -> str:
        name = match[1]
        return rng.choice(_WORDS[name]) if name in _WORDS else str(rng.randint(*_NUMBERS[name]))

    text = re.sub(r"\{(\w+)\}", word, rng.choice(_SECTIONS[section]))
    return text[0].upper() + text[1:]


if __name__ == "__main__":
    stand_in(int(sys.argv[1]), int(sys.argv[2]))
