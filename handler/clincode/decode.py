"""Logits → entity spans, by constrained Viterbi decoding of the BIO scheme.

The model scores each word independently; the only structure is that ``I-X`` may follow nothing but ``B-X`` or
``I-X`` and may not open a sentence. Under that constraint the best sequence is found by Viterbi's algorithm and the
probability of each of its entities by the forward-backward algorithm (Rabiner 1989), so that a confidence is the
probability of exactly this span with this type, and not of some word in it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from clincode.labels import OUTSIDE, TAG_TO_TYPE, EntityType, split_label
from clincode.types import FloatArray, Span

_Array = npt.NDArray[np.float64]
_IMPOSSIBLE = -1e30


@dataclass(frozen=True, slots=True)
class TagSpan:
    """Words ``[first, last]`` with a tag such as ``DIAG``."""

    first: int
    last: int
    tag: str


def spans_of(labels: Sequence[str], breaks: frozenset[int] = frozenset()) -> tuple[TagSpan, ...]:
    """Spans of a BIO sequence. An ``I-X`` that continues nothing opens a span; unknown labels are outside."""
    spans: list[TagSpan] = []
    for index, label in enumerate(labels):
        prefix, tag = split_label(label)
        if prefix == OUTSIDE:
            continue
        last = spans[-1] if spans else None
        continues = last is not None and last.last == index - 1 and last.tag == tag and index not in breaks
        if prefix == "I" and continues and last is not None:
            spans[-1] = TagSpan(last.first, index, tag)
        else:
            spans.append(TagSpan(index, index, tag))
    return tuple(spans)


def legal_transitions(labels: Sequence[str]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """``opens[b]``: whether label ``b`` may open a sentence. ``follows[a, b]``: whether ``b`` may follow ``a``."""
    parts = [split_label(label) for label in labels]
    opens = np.array([prefix != "I" for prefix, _ in parts])
    follows = np.array([[b != "I" or (a != OUTSIDE and tag_a == tag_b) for b, tag_b in parts] for a, tag_a in parts])
    return opens, follows


class BioDecoder:
    """Decoder for one head's labels. Stateless between calls.

    ``temperature`` divides the logits: it makes all confidences lower or higher and leaves the entities as they are.
    """

    def __init__(self, labels: Sequence[str], temperature: float = 1.0) -> None:
        self._labels = tuple(labels)
        self._temperature = temperature
        self._opens, self._follows = legal_transitions(labels)

    def decode(
        self, logits: FloatArray, words: Sequence[tuple[int, int]], breaks: frozenset[int] = frozenset()
    ) -> tuple[Span, ...]:
        """Entities in the order of the text.

        ``logits`` is ``(len(words), labels)``; ``breaks`` are indices of words that no entity may continue into,
        such as the first words of sentences. Non-finite logits count as no evidence.
        """
        if not len(words):
            return ()
        log_p = _log_softmax(logits, self._temperature)
        path = self._viterbi(log_p, breaks)
        spans = spans_of([self._labels[state] for state in path], breaks)
        confidences = self._span_probabilities(np.exp(log_p), path, spans, breaks)
        return tuple(
            Span(words[span.first][0], words[span.last][1], TAG_TO_TYPE[span.tag], confidence)
            for span, confidence in zip(spans, confidences, strict=True)
            if span.tag in TAG_TO_TYPE
        )

    def _viterbi(self, log_p: _Array, breaks: frozenset[int]) -> list[int]:
        transition = np.where(self._follows, 0.0, _IMPOSSIBLE)
        opening = np.where(self._opens, 0.0, _IMPOSSIBLE)
        score = log_p[0] + opening
        back = np.zeros(log_p.shape, dtype=np.int64)
        for t in range(1, len(log_p)):
            candidates = score[:, None] + (opening if t in breaks else transition)
            back[t] = candidates.argmax(axis=0)
            score = candidates.max(axis=0) + log_p[t]
        path = [int(score.argmax())]
        for t in range(len(log_p) - 1, 0, -1):
            path.append(int(back[t, path[-1]]))
        return path[::-1]

    def _span_probabilities(
        self, p: _Array, path: Sequence[int], spans: Sequence[TagSpan], breaks: frozenset[int]
    ) -> list[float]:
        """P(span) = forward mass at its first word × its inner words × backward mass of whatever may end it there."""
        forward, backward, scale = self._forward_backward(p, breaks)
        probabilities = []
        for span in spans:
            value = forward[span.first, path[span.first]]
            for t in range(span.first + 1, span.last + 1):
                value *= p[t, path[t]] / scale[t]
            after = span.last + 1
            if after < len(p):
                ends = self._opens if after in breaks else self._follows[path[span.last]] & self._opens
                value *= float((p[after] * backward[after] * ends).sum()) / scale[after]
            probabilities.append(float(np.clip(value, 0.0, 1.0)))
        return probabilities

    def _forward_backward(self, p: _Array, breaks: frozenset[int]) -> tuple[_Array, _Array, _Array]:
        """Scaled messages: ``forward[t] * backward[t]`` are the label marginals at ``t``."""
        transition = self._follows.astype(np.float64)
        opening = np.broadcast_to(self._opens.astype(np.float64), transition.shape)
        steps = [opening if t in breaks else transition for t in range(len(p))]
        forward, backward, scale = np.empty_like(p), np.ones_like(p), np.ones(len(p))
        for t in range(len(p)):
            reached = p[t] * (self._opens if t == 0 else forward[t - 1] @ steps[t])
            scale[t] = max(reached.sum(), 1e-300)
            forward[t] = reached / scale[t]
        for t in range(len(p) - 2, -1, -1):
            backward[t] = steps[t + 1] @ (p[t + 1] * backward[t + 1]) / scale[t + 1]
        return forward, backward, scale


def token_entropy(logits: FloatArray) -> FloatArray:
    """Entropy of each word's label distribution, in nats: ``(words,)``."""
    log_p = _log_softmax(logits)
    entropy: FloatArray = (-(np.exp(log_p) * log_p).sum(axis=1)).astype(np.float32)
    return entropy


def _log_softmax(logits: FloatArray, temperature: float = 1.0) -> _Array:
    finite = np.nan_to_num(logits.astype(np.float64), nan=0.0, posinf=1e4, neginf=-1e4) / temperature
    shifted = finite - finite.max(axis=1, keepdims=True)
    log_p: _Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    # A floor keeps every label possible, so that no constraint can make the whole sequence impossible.
    return np.maximum(log_p, -80.0)


_LEAD_IN = re.compile(
    r"(?:(?:(?:past|prior|previous|remote|known|personal|family|strong|significant)\s+)*(?:medical\s+)?"
    r"(?:history|hx)\s+of|[hH]/[oO])\s+(?=\w)",
    re.IGNORECASE,
)
_DOSE = re.compile(
    r"[ -]?\d+(?:[.,]\d+)*[ -]?(?:mg|mcg|µg|μg|g|ml|mL|units?|IU|mEq)"
    r"(?:/(?:kg|m2|day|d|h|hr|dose))*(?![\w/])"
)


def with_doses(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans, each medication with the dose that touches it: "aspirin 81mg" is one mention by the span guideline."""
    widened = []
    for index, span in enumerate(spans):
        dose = _DOSE.match(text, span.end) if span.type is EntityType.MEDICATION else None
        next_start = spans[index + 1].start if index + 1 < len(spans) else len(text)
        fits = dose is not None and dose.end() <= next_start
        widened.append(replace(span, end=dose.end()) if dose and fits else span)
    return widened


def without_lead_ins(text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans, each diagnosis without words before it that speak of its context: "history of stroke" is a mention of
    stroke, and where "No" stands before it the cue is "No history of"."""
    return [replace(span, start=span.start + _lead_in(text[span.start : span.end], span.type)) for span in spans]


def _lead_in(mention: str, kind: EntityType) -> int:
    found = _LEAD_IN.match(mention) if kind is EntityType.DIAGNOSIS else None
    return found.end() if found else 0
