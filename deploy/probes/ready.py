#!/usr/bin/env python3
"""Whether a TorchServe or a gateway beside this program can work: exit status 0 or 1, and one line that says why not.

    ready.py model       a worker is READY and answers a sentence
    ready.py alive       TorchServe's front end answers at all
    ready.py gateway     the gateway answers and, where it has a key to ask with, its database does too

TorchServe's own /ping says "Healthy" before a model is loaded, so it is no readiness. The standard library alone: this
runs every few seconds inside the container. Variables:

    TS_INFERENCE_ADDRESS, TS_MANAGEMENT_ADDRESS   as TorchServe reads them; default 127.0.0.1:8080 and :8081
    CLINCODE_RUN_DIR          the folder where TorchServe keeps key_file.json; default /run/clincode
    CLINCODE_GATEWAY_PORT     default 8000
    CLINCODE_PROBE_KEY_FILE   a file with an API key of the gateway that has the scope health
    CLINCODE_PROBE_SECONDS    how long an answer may take; default 20
"""

import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

MODEL = "bert-clinical-ner"
SENTENCE = {
    "note_id": "00000000-0000-0000-0000-000000000000",
    "note_text": "Chest pain, no fever. Given aspirin 81 mg. Troponin normal.",
    "note_type": "progress_note",
}
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Whatever proxy the environment names, this stays on the machine."""


class NotReadyError(Exception):
    """Its text is the reason, and never has a key in it."""


def model() -> None:
    """A worker is READY, and a sentence gets the contract's answer."""
    status, body = _call(f"{_address('management', 8081)}/models/{MODEL}", _torchserve_key("management"))
    try:
        workers = [worker["status"] for worker in body[0]["workers"]]
    except (LookupError, TypeError):
        raise NotReadyError(f"TorchServe does not know {MODEL} (status {status})") from None
    if "READY" not in workers:
        raise NotReadyError(f"no worker is ready ({', '.join(workers) or 'there is none'})")
    url = f"{_address('inference', 8080)}/predictions/{MODEL}"
    status, body = _call(url, _torchserve_key("inference"), SENTENCE)
    if status != http.client.OK or not isinstance(body, dict) or not body.get("entities"):
        raise NotReadyError(f"the model does not answer a sentence as it should (status {status})")


def alive() -> None:
    """Any answer of HTTP's: without the key, /ping refuses, and that is an answer."""
    _call(f"{_address('inference', 8080)}/ping", "")


def gateway() -> None:
    """The gateway listens, which it does once it has brought the database to its tables; with a key, also now."""
    base = f"http://127.0.0.1:{os.environ.get('CLINCODE_GATEWAY_PORT', '8000')}"
    status, _ = _call(f"{base}/health/live", "")
    if status != http.client.OK:
        raise NotReadyError(f"the gateway answers /health/live with {status}")
    file = Path(os.environ.get("CLINCODE_PROBE_KEY_FILE", "/nonexistent"))
    if not file.is_file():
        return
    # Away models make a gateway no less useful: notes are taken in, coders review. So the database alone decides.
    status, body = _call(f"{base}/health/ready", file.read_text(encoding="utf-8").strip())
    if not isinstance(body, dict) or not isinstance(checks := body.get("checks"), dict):
        raise NotReadyError(f"the gateway answers /health/ready with {status}")
    if not checks.get("database"):
        raise NotReadyError("the database does not answer, or has other tables than this version's")


def _address(which: str, port: int) -> str:
    """Where a program on the same machine reaches it."""
    parts = urlsplit(os.environ.get(f"TS_{which.upper()}_ADDRESS") or f"http://127.0.0.1:{port}")
    host = "127.0.0.1" if parts.hostname in (None, "0.0.0.0") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or port}"


def _torchserve_key(which: str) -> str:
    file = Path(os.environ.get("CLINCODE_RUN_DIR", "/run/clincode")) / "key_file.json"
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))[which]["key"])
    except (OSError, ValueError, LookupError, TypeError):
        raise NotReadyError(f"{file} has no key for {which}: TorchServe has not started") from None


def _call(url: str, key: str, body: object = None) -> tuple[int, object]:
    """Status and JSON of an answer (null where it is none).

    Raises:
        NotReadyError: there was no answer.
    """
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(url, data, headers)
    seconds = float(os.environ.get("CLINCODE_PROBE_SECONDS", "20"))
    try:
        with _DIRECT.open(request, timeout=seconds) as answer:
            return answer.status, _json(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _json(error.read())
    except (OSError, http.client.HTTPException) as error:
        raise NotReadyError(f"{url} gives no answer ({type(error).__name__})") from None


def _json(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def main() -> int:
    probes = {"model": model, "alive": alive, "gateway": gateway}
    if len(sys.argv) != 2 or sys.argv[1] not in probes:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        probes[sys.argv[1]]()
    except NotReadyError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
