"""The fast dropout drops at its rate, keeps the expectation, repeats with the seed, and passes gradients."""

import torch
from torch import nn
from transformers import BertConfig, BertModel

from training.dropout import FastDropout, use_fast_dropout


def test_rate_and_scale() -> None:
    torch.manual_seed(3)
    dropped = FastDropout(0.1).train()(torch.ones(400, 500))
    kept = dropped != 0
    rate = round(0.1 * 256) / 256
    assert abs(1 - kept.float().mean().item() - rate) < 0.003
    assert torch.allclose(dropped[kept], torch.tensor(1 / (1 - rate)))


def test_same_seed_same_mask_and_the_next_differs() -> None:
    layer, ones = FastDropout(0.5).train(), torch.ones(7, 33)
    torch.manual_seed(1)
    first, second = layer(ones), layer(ones)
    torch.manual_seed(1)
    assert torch.equal(layer(ones), first)
    assert not torch.equal(first, second)


def test_gradient_goes_where_the_value_went() -> None:
    inputs = torch.randn(5, 9, requires_grad=True)
    output = FastDropout(0.3).train()(inputs)
    output.sum().backward()
    assert inputs.grad is not None
    assert torch.allclose(inputs.grad * inputs, output)


def test_evaluation_and_rate_zero_change_nothing() -> None:
    inputs = torch.randn(3, 4)
    assert FastDropout(0.5).eval()(inputs) is inputs
    assert FastDropout(0.0).train()(inputs) is inputs


def test_every_dropout_of_a_network_is_replaced() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1), nn.Sequential(nn.Dropout(0.25)))
    assert use_fast_dropout(network) == 2
    assert [m.dropped_levels for m in network.modules() if isinstance(m, FastDropout)] == [26, 64]


def test_attention_is_what_it_was_but_for_what_it_drops() -> None:
    torch.manual_seed(4)
    config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)
    config.hidden_dropout_prob = 0.0
    encoder = BertModel(config).eval()
    ids, mask = torch.randint(0, 50, (2, 9)), torch.ones(2, 9, dtype=torch.long)
    mask[1, 5:] = 0
    before = encoder(ids, attention_mask=mask).last_hidden_state
    use_fast_dropout(encoder)
    after = encoder(ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(after[mask.bool()], before[mask.bool()], rtol=1e-4, atol=1e-5)
    encoder.train()
    assert not torch.equal(encoder(ids).last_hidden_state, encoder(ids).last_hidden_state), "attention drops too"
