"""The review page in a real browser, on a gateway of its own with made-up work: pictures for docs/, and how fast it is.

    .venv/bin/python scripts/review_page.py pictures docs/images
    .venv/bin/python scripts/review_page.py bench [--runs 15] [--json FILE]

``pictures`` fills a month with reviewed copies of the sample notes (answered by the released model; what "coders"
decide on them is drawn at random, seeded), and photographs the worklist, a note and the overview. ``bench`` opens a
note of 10,000 characters with 300 entities: weight of the page with all that it loads, and the time from the end of the
response until its scripts have run. Needs Chromium and the packages that scripts/test.sh installs; no TorchServe.
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from playwright.sync_api import Page, sync_playwright
from sqlalchemy import update
from tqdm import tqdm

from cli.models import bundle_of
from clincode.pipeline import Pipeline
from clincode.request import parse_request
from clincode.response import response_body
from clincode.types import Note
from gateway.review.decisions import AcceptCode, AcceptEntity, Decision, Finish, RejectCode, RejectEntity
from gateway.security.permissions import PERMISSIONS, Principal, Role
from gateway.services import Services
from gateway.settings import Settings
from gateway.storage.notes import Intake
from gateway.storage.tables import DecisionRow, NoteRow

ROOT = Path(__file__).resolve().parents[1]
PORT = 8765
SERVICE = Principal("key:ehr", Role.SERVICE, PERMISSIONS[Role.SERVICE])
CODERS = [Principal(f"user:{name}", Role.CODER, PERMISSIONS[Role.CODER]) for name in ("maria", "jonas", "aisha")]
BROWSER = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@dataclass
class Stage:
    """A deployment in a temporary folder: its services for filling it, its script for running it."""

    run: Path
    services: Services

    def gateway(self, *arguments: str) -> str:
        environment = {
            **os.environ,
            "PYTHON": sys.executable,
            "CLINCODE_RUN_DIR": str(self.run),
            "CLINCODE_GATEWAY_PORT": str(PORT),
            "CLINCODE_INFERENCE_URL": "http://127.0.0.1:1/predictions/none",
        }
        command = [ROOT / "scripts" / "gateway.sh", *arguments]
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextmanager
def stage() -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="clincode-page-"))
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "clincode_secret_key").write_text("of this run alone, and long enough for it", encoding="utf-8")
    os.environ["CLINCODE_SECRETS_DIR"] = str(secrets)
    os.environ["CLINCODE_DATABASE_URL"] = f"sqlite:///{folder}/gateway.db"
    services = Services.build(Settings.load())
    services.database.migrate()
    try:
        yield Stage(folder, services)
    finally:
        services.database.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def page_of(on: Stage, role: str, **options: Any) -> Iterator[Page]:
    on.gateway("start")
    try:
        with sync_playwright() as playwright:
            path = os.environ.get("CLINCODE_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
            browser = playwright.chromium.launch(executable_path=path, args=BROWSER)
            page = browser.new_context(viewport={"width": 1360, "height": 900}, **options).new_page()
            page.goto(on.gateway("clincode", "gateway", "login", "--user", "maria", "--role", role))
            page.get_by_label("One-time code").press("Enter")
            page.wait_for_url("**/review**")
            yield page
            browser.close()
    finally:
        on.gateway("stop")


def pictures(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with stage() as on:
        first = fill_a_month(on.services)
        with page_of(on, "supervisor", device_scale_factor=1) as page:
            page.screenshot(path=out / "review-worklist.png")
            page.goto(f"http://127.0.0.1:{PORT}/review/notes/{first}")
            page.locator("[data-part=codes] [data-code]").nth(1).locator("h3").click()
            page.locator("[data-text] [data-e]").nth(2).click()
            page.wait_for_timeout(500)
            page.screenshot(path=out / "review-note.png")
            page.emulate_media(color_scheme="dark")
            page.screenshot(path=out / "review-note-dark.png")
            page.emulate_media(color_scheme="light")
            page.goto(f"http://127.0.0.1:{PORT}/review/overview")
            page.screenshot(path=out / "review-overview.png", full_page=True)
    print(f"pictures in {out}")


def fill_a_month(services: Services) -> str:
    """Copies of the sample notes over thirty days, most of them reviewed; returns the id of the first that waits."""
    rng = random.Random(20261126)
    pipeline = Pipeline.from_bundle(bundle_of(None))
    lines = (ROOT / "gateway" / "sample_notes.jsonl").read_text(encoding="utf-8").splitlines()
    samples = [parse_request(line) for line in lines]
    answers = [
        response_body(pipeline.analyze(note), version=pipeline.version, processing_time_ms=180) for note in samples
    ]
    now = datetime.now(UTC)
    for day in tqdm(range(30, 0, -1), desc="a month of work", unit="day"):
        is_weekend = (now - timedelta(days=day)).weekday() >= 5
        for _ in range(rng.randint(2, 5) if is_weekend else rng.randint(8, 16)):
            at = rng.randrange(len(samples))
            received = now - timedelta(days=day, hours=rng.uniform(0, 8))
            note_id = put(services, samples[at], answers[at], received, rng, str(UUID(int=rng.getrandbits(128))))
            if rng.random() < 0.97:
                review(services, note_id, answers[at], received, rng)
    waiting = [
        put(services, note, answer, now - timedelta(minutes=rng.uniform(5, 300)), rng, note.note_id)
        for note, answer in zip(samples, answers, strict=True)
    ]
    return waiting[0]


def put(
    services: Services, note: Note, answer: Mapping[str, Any], received: datetime, rng: random.Random, note_id: str
) -> str:
    copy = Note(note_id, note.text, note.note_type, note.priority, note.metadata)
    services.notes.keep_answer(copy, {**answer, "note_id": note_id}, "production", Intake("notes", SERVICE))
    answered = received + timedelta(seconds=rng.lognormvariate(0.2, 0.5))
    change(services, note_id, received_at=received, answered_at=answered)
    return note_id


def review(services: Services, note_id: str, answer: Mapping[str, Any], received: datetime, rng: random.Random) -> None:
    coder = rng.choice(CODERS)
    decisions: list[Decision] = [
        AcceptCode(code=code["code"]) if rng.random() < code["confidence"] + 0.1 else RejectCode(code=code["code"])
        for code in answer["codes"]
    ]
    for key in rng.sample(range(len(answer["entities"])), k=min(6, len(answer["entities"]))):
        sure = rng.random() < answer["entities"][key]["confidence"] + 0.05
        decisions.append(AcceptEntity(entity=str(key)) if sure else RejectEntity(entity=str(key)))
    services.review.open(note_id, coder)
    for version, decision in enumerate([*decisions, Finish()]):
        services.review.decide(note_id, coder, decision, version)
    opened = received + timedelta(minutes=rng.expovariate(1 / 90))
    finished = opened + timedelta(seconds=rng.lognormvariate(4.6, 0.5))
    change(services, note_id, opened_at=opened, finished_at=finished)
    with services.database.transaction() as session:
        session.execute(update(DecisionRow).where(DecisionRow.note_id == note_id).values(at=finished))


def change(services: Services, note_id: str, **values: Any) -> None:
    with services.database.transaction() as session:
        session.execute(update(NoteRow).where(NoteRow.id == note_id).values(**values))


WEIGHT = """() => {
  const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  return all.map((each) => [each.name.replace(location.origin, ""), each.decodedBodySize, each.transferSize]);
}"""
READY = """() => {
  const mark = performance.getEntriesByName("interactive")[0];
  const navigation = performance.getEntriesByType("navigation")[0];
  return mark && mark.startTime - navigation.responseEnd;
}"""


def bench(runs: int, out: Path | None) -> None:
    with stage() as on:
        note_id = put_large_note(on.services)
        with page_of(on, "coder") as page:
            url = f"http://127.0.0.1:{PORT}/review/notes/{note_id}"
            page.goto(url)
            first = float(page.wait_for_function(READY).json_value())
            weights = page.evaluate(WEIGHT)
            cold, warm = [], []
            session = page.context.new_cdp_session(page)
            for times, is_off in ((cold, True), (warm, False)):
                session.send("Network.setCacheDisabled", {"cacheDisabled": is_off})
                for _ in tqdm(range(runs), desc="cold" if is_off else "warm", unit="load"):
                    page.goto(url)
                    times.append(float(page.wait_for_function(READY).json_value()))
    figures = {
        "page_kB": round(sum(size for _, size, _ in weights) / 1000, 1),
        "transferred_kB": round(sum(size for _, _, size in weights) / 1000, 1),
        "interactive_first_ms": round(first),
        "interactive_ms": {
            name: {"median": round(statistics.median(times)), "worst": round(max(times)), "runs": runs}
            for name, times in (("cold cache", cold), ("warm cache", warm))
        },
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}",
        "date": date.today().isoformat(),
    }
    for name, size, sent in weights:
        print(f"{size / 1000:8.1f} kB {sent / 1000:8.1f} kB sent  {name[:80]}")
    print(json.dumps(figures, indent=2))
    if out:
        out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def put_large_note(services: Services) -> str:
    """10,000 characters with 300 entities, among them some that are denied or the family's, and 25 codes."""
    rng = random.Random(7)
    words = [
        "pneumonia",
        "hypertension",
        "aspirin",
        "biopsy",
        "abdomen",
        "troponin",
        "asthma",
        "gout",
        "metformin",
        "anemia",
    ]
    types = [
        "DIAGNOSIS",
        "DIAGNOSIS",
        "MEDICATION",
        "PROCEDURE",
        "ANATOMY",
        "TEST",
        "DIAGNOSIS",
        "DIAGNOSIS",
        "MEDICATION",
        "DIAGNOSIS",
    ]
    parts, entities, at = [], [], 0
    for number in range(300):
        lead = rng.choice(["Noted ", "The patient has ", "There is no ", "Given ", "Seen: ", "Reviewed "])
        which = number % len(words)
        start = at + len(lead)
        end = start + len(words[which])
        is_negated = "no " in lead
        entities.append({
            "text": words[which], "type": types[which], "start_char": start, "end_char": end, "confidence": 0.9,
            "icd_codes": [{"code": "J18.9", "description": "Pneumonia, unspecified organism", "confidence": 0.8}],
            "is_negated": is_negated, "negation_trigger": "no" if is_negated else None,
            "certainty": "negated" if is_negated else "affirmed", "temporality": rng.choice(["current", "historical"]),
            "experiencer": rng.choice(["patient", "patient", "family"]), "section": None, "expansion": None,
        })  # fmt: skip
        fill = "today. " if number % 9 else "today.\n\n"
        parts.append(lead + words[which] + " " + fill)
        at += len(parts[-1])
    text = "".join(parts)
    text += "x" * (10_000 - len(text))
    picked = [
        hit for query in ("diabetes", "fracture") for hit in services.codes.search(query, limit=40, billable_only=True)
    ]
    listed = [
        {
            "code": hit["code"],
            "description": hit["title"],
            "confidence": 0.7,
            "evidence": [n, n + 30],
            "flags": ["unspecified"],
        }
        for n, hit in enumerate(picked[:25])
    ]
    note = Note(str(uuid4()), text)
    answer = {
        "note_id": note.note_id, "entities": entities, "processing_time_ms": 1, "model_version": "made-up",
        "codes": listed, "references": [], "redactions": [], "warnings": [],
    }  # fmt: skip
    services.notes.keep_answer(note, answer, "production", Intake("predict", SERVICE))
    return note.note_id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pictures").add_argument("out", type=Path)
    timing = commands.add_parser("bench")
    timing.add_argument("--runs", type=int, default=15)
    timing.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.command == "pictures":
        pictures(given.out)
    else:
        bench(given.runs, given.json)


if __name__ == "__main__":
    main()
