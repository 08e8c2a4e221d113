"""What a training step minimises: the corpora's labels, a teacher's probabilities, agreement under dropout.

Labels may leave more than one possibility open (``training/supervision.py``). A teacher's probabilities are met by
cross-entropy (Hinton et al. 2015), its encoder's states by the cosine of a projection with them (after Jiao et al.
2020). R-Drop (Wu et al. 2021) sends a batch through twice, with other dropout, and pays for the divergence of the two
answers. A structured objective scores whole sequences under the BIO constraints, as
decoding does, in place of independent words.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from clincode.decode import legal_transitions
from clincode.model import BertForClinicalNER
from training.batches import Batch
from training.supervision import marginal_loss

IMPOSSIBLE = -1e4


class Objective(nn.Module):
    """The network and its loss in one ``forward``, so that DDP sees every use of a parameter."""

    def __init__(
        self,
        network: BertForClinicalNER,
        heads: Mapping[str, Sequence[str]],
        *,
        structured: bool = False,
        r_drop: float = 0.0,
        states_weight: float = 0.0,
        teacher_hidden: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self.r_drop = r_drop
        self.states_weight = states_weight
        # Only to compare with the teacher: it is no part of the network that is kept.
        self.projection = nn.Linear(network.encoder.config.hidden_size, teacher_hidden) if states_weight else None
        self.transitions = {head: _log_transitions(labels) for head, labels in heads.items()} if structured else {}

    def forward(self, batch: Batch) -> Tensor:
        """The summed loss of all heads."""
        passes = 2 if self.r_drop else 1
        states = self.network.hidden_states(batch.input_ids.repeat(passes, 1), batch.attention_mask.repeat(passes, 1))
        losses = []
        for name, head in self.network.heads.items():
            answers = head(states).chunk(passes)
            losses += [self._loss(name, logits, batch) / passes for logits in answers]
            if self.r_drop:
                losses.append(self.r_drop * divergence(answers[0], answers[1], batch.weights[name]))
        if self.projection is not None:
            rows, tokens = batch.state_places
            projected = self.projection(states[rows, tokens]).float()
            # Without any states the projection still takes part, or DDP would wait for its gradient.
            likeness = nn.functional.cosine_similarity(projected, projected if batch.states is None else batch.states)
            losses.append(self.states_weight * (1 - likeness).sum())
        return torch.stack(losses).sum()

    def _loss(self, head: str, logits: Tensor, batch: Batch) -> Tensor:
        allowed, weights = batch.allowed[head], batch.weights[head]
        if head in self.transitions:
            loss = sequence_loss(logits, allowed, weights, *self.transitions[head])
        else:
            loss = marginal_loss(logits, allowed, weights)
        if head in batch.soft:
            log_p = torch.log_softmax(logits.float(), dim=-1)
            loss = loss - ((batch.soft[head] * log_p).sum(-1) * batch.soft_weights[head]).sum()
        return loss


def divergence(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    """Mean of both Kullback-Leibler divergences between two answers, a weighted sum over tokens.

    ``first``, ``second``: logits ``(batch, tokens, labels)``; ``weights``: ``(batch, tokens)``.
    """
    p, q = torch.log_softmax(first.float(), dim=-1), torch.log_softmax(second.float(), dim=-1)
    return (((p.exp() - q.exp()) * (p - q)).sum(-1) / 2 * weights).sum()


def sequence_loss(logits: Tensor, allowed: Tensor, weights: Tensor, opens: Tensor, follows: Tensor) -> Tensor:
    """Negative log probability of the allowed sequences among the legal ones, times each row's weight.

    A conditional random field whose transitions are not learnt but given: legal or not (Lafferty et al. 2001). Only
    tokens with a weight take part; a row weighs as its first such token.

    Args:
        logits, allowed: ``(batch, tokens, labels)``.
        weights: ``(batch, tokens)``.
        opens, follows: log scores, ``(labels,)`` and ``(labels, labels)``.
    """
    counts = (weights > 0).sum(dim=1)
    if not counts.any():
        return logits.sum() * 0.0
    # The words of a row, moved together: what lies between them (further sub-tokens, padding) goes to the end.
    order = (weights > 0).int().argsort(dim=1, descending=True, stable=True)[:, : int(counts.max())]
    index = order[..., None].expand(-1, -1, logits.shape[-1])
    log_p = torch.log_softmax(logits.float(), dim=-1).gather(1, index)
    kept = allowed.gather(1, index)
    both = torch.cat([log_p, log_p.masked_fill(~kept, IMPOSSIBLE)])
    opens, follows = opens.to(log_p.device), follows.to(log_p.device)
    real = (torch.arange(order.shape[1], device=log_p.device)[None] < counts[:, None]).repeat(2, 1)
    score = both[:, 0] + opens
    for t in range(1, both.shape[1]):
        reached = torch.logsumexp(score[:, :, None] + follows, dim=1) + both[:, t]
        score = torch.where(real[:, t, None], reached, score)
    legal, gold = torch.logsumexp(score, dim=-1).chunk(2)
    row_weights = weights.gather(1, order[:, :1])[:, 0]
    return ((legal - gold) * row_weights).sum()


def _log_transitions(labels: Sequence[str]) -> tuple[Tensor, Tensor]:
    opens, follows = (torch.from_numpy(table) for table in legal_transitions(labels))
    zeros = torch.zeros(())
    return torch.where(opens, zeros, IMPOSSIBLE), torch.where(follows, zeros, IMPOSSIBLE)
