"""Two versions, and what they answer."""

from datetime import UTC, datetime
from typing import Any

BEGAN = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
"""A Monday."""
MODELS = {"stable": "bert-clinical-ner-v1.0.0", "next": "bert-clinical-ner-v1.1.0"}
ROUTING = """# Who answers which note.
# Keys are those of the servers.

production: stable  # since the spring
targets:
  stable: {url: "http://127.0.0.1:8080/predictions/bert-clinical-ner/1.0.0", key_file: keys/stable.json}
  next: {url: "http://127.0.0.1:9080/predictions/bert-clinical-ner/1.1.0", key_file: /run/keys/next.json}
"""


def make_answer(*, latency_ms: int = 120, confidence: float = 0.9) -> dict[str, Any]:
    """Ten entities, side by side."""
    context = {"certainty": "affirmed", "temporality": "current", "experiencer": "patient"}
    entities = [
        {"text": "xxxx", "type": "DIAGNOSIS", "start_char": 6 * i, "end_char": 6 * i + 4, "confidence": confidence}
        | context
        | {"icd_codes": [], "section": None, "expansion": None}
        for i in range(10)
    ]
    return {
        "entities": entities,
        "codes": [],
        "references": [],
        "redactions": [],
        "processing_time_ms": latency_ms,
    }
