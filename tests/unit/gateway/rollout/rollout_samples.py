"""Arms made up for the rules of rollouts."""

from typing import Any

import numpy as np

from gateway.rollout.measures import Arm


def make_arm(f1: float = 0.8, reviewed: int = 500, *, notes: int = 2000, seed: int = 0, **values: Any) -> Arm:
    """An arm whose F1 is the one asked for, nearly to the digit: half of the notes are a bit better than that, half a
    bit worse."""
    right = round(1000 * f1)
    rows = [(right + step, 1000 - right - step, 1000 - right - step) for step in (100, -100)]
    counts = np.array([rows[i % 2] for i in range(reviewed - reviewed % 2)], dtype=np.int64).reshape(-1, 3)
    draw = np.random.default_rng(seed)
    made: dict[str, Any] = {
        "counts": counts,
        "latencies_ms": 120 * np.exp(0.45 * draw.standard_normal(notes)),
        "confidences": 0.86 + 0.06 * draw.standard_normal(notes),
        "assigned": notes,
        "failed": round(notes * 0.003),
        "finished": len(counts),
    }
    return Arm(**made | values)


def slowed(factor: float, notes: int = 2000) -> Any:
    return factor * 120 * np.exp(0.45 * np.random.default_rng(9).standard_normal(notes))
