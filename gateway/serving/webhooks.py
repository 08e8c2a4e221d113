"""Tells a client that its note is done: a signed POST without anything of the note, tried again until it is taken.

The body names the note, its state and where the result is; the header ``Clincode-Signature`` is ``t=…,v1=…`` with the
hex HMAC-SHA256 of ``<t>.<body>`` under the deployment's webhook key (``clincode gateway webhook-key`` prints it).
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import structlog
from sqlalchemy import select

from gateway.errors import GatewayError
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.tables import DeliveryRow, NoteRow

MAX_URL_CHARS = 2000
_POLL_SECONDS = 1.0
_ATTEMPTS = 10
_LONGEST_BACKOFF = 900.0
_AT_ONCE = 8
_SEND_SECONDS = 20.0
_CLAIM_SECONDS = 30.0
"""Should this process die while it sends, the delivery is due again then."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Due:
    note_id: str
    url: str
    state: str
    claimed_until: datetime


def check_webhook_url(url: str, hosts: Sequence[str]) -> None:
    """Raises GatewayError: 422, the URL is none that this deployment sends to."""
    try:  # read as it will be read for sending
        parts = httpx.URL(url)
        host = parts.host
        is_fit = len(url) <= MAX_URL_CHARS and parts.scheme in {"http", "https"} and not parts.userinfo
        is_fit = is_fit and (parts.port or 1) <= 65535
    except (httpx.InvalidURL, ValueError):
        host, is_fit = "", False
    if not host or not is_fit:
        message = f"must be an http or https URL without credentials, of at most {MAX_URL_CHARS} characters"
        raise GatewayError(422, "bad_webhook_url", message, "webhook_url")
    if host not in {allowed.lower() for allowed in hosts}:
        raise GatewayError(
            422, "webhook_host_not_allowed", "this deployment sends no webhooks to that host", "webhook_url"
        )


def signature(key: bytes, body: bytes, timestamp: int) -> str:
    """The value of ``Clincode-Signature``."""
    digest = hmac.new(key, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


class Webhooks:
    """Sends what is due, at least once each."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._url = settings.url
        self._hosts = settings.webhook_hosts
        self._key = settings.derived_key("webhook")

    async def run(self) -> None:
        """Work until cancelled."""
        async with httpx.AsyncClient(timeout=10, follow_redirects=False) as client:
            while True:
                try:
                    due = await asyncio.to_thread(self._due)
                    await asyncio.gather(*(self._send(client, delivery) for delivery in due))
                except Exception as error:
                    log.error("webhooks_failed", error=type(error).__name__)
                    due = []
                if not due:
                    await asyncio.sleep(_POLL_SECONDS)

    async def _send(self, client: httpx.AsyncClient, delivery: _Due) -> None:
        content = {
            "note_id": delivery.note_id,
            "state": delivery.state,
            "url": f"{self._url}/api/v1/notes/{delivery.note_id}",
        }
        body = json.dumps(content).encode()
        headers = {
            "Content-Type": "application/json",
            "Clincode-Signature": signature(self._key, body, int(time.time())),
        }
        try:
            check_webhook_url(delivery.url, self._hosts)  # settings may have changed since the note was accepted
            post = client.stream("POST", delivery.url, content=body, headers=headers)
            async with asyncio.timeout(_SEND_SECONDS), post as response:  # what it says beyond its status is not read
                is_taken = response.is_success
        except Exception as error:  # whatever it is, the other deliveries go on
            log.info("webhook_failed", note_id=delivery.note_id, error=type(error).__name__)
            is_taken = False
        await asyncio.to_thread(self._settle, delivery, is_taken)

    def _due(self) -> list[_Due]:
        now = datetime.now(UTC)
        with self._database.transaction() as session:
            rows = session.execute(
                select(DeliveryRow, NoteRow.sent_id, NoteRow.state)
                .join(NoteRow, NoteRow.id == DeliveryRow.note_id)
                .where(DeliveryRow.state == "due", DeliveryRow.next_attempt_at <= now)
                .order_by(DeliveryRow.next_attempt_at)
                .limit(_AT_ONCE)
                .with_for_update(skip_locked=True, of=DeliveryRow)
            ).all()
            until = now + timedelta(seconds=_CLAIM_SECONDS)
            for row, _, _ in rows:
                row.next_attempt_at = until
            return [_Due(row.note_id, row.url, state, until) for row, _, state in rows]

    def _settle(self, delivery: _Due, is_taken: bool) -> None:
        with self._database.transaction() as session:
            row = session.get(DeliveryRow, delivery.note_id, with_for_update=True)
            if row is None or (row.state, row.next_attempt_at) != ("due", delivery.claimed_until):
                return  # deleted, or of another round of the note by now
            row.attempts += 1
            if is_taken:
                row.state, row.next_attempt_at = "delivered", None
            elif row.attempts >= _ATTEMPTS:
                row.state, row.next_attempt_at = "dead", None
                log.error("webhook_given_up", note_id=delivery.note_id)
            else:
                backoff = min(_LONGEST_BACKOFF, 2.0**row.attempts)
                row.next_attempt_at = datetime.now(UTC) + timedelta(seconds=backoff)
