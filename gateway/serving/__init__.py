"""From an accepted note to a model's answer: routing, priorities, TorchServe, and the worker of durable notes."""
