"""A new model from new data, or a reason why there is none: validation, training, evaluation, gates, bias audit,
packaging, staging, canary. See ``docs/pipeline.md``."""
