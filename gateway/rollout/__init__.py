"""A model earns its way into production: canary, A/B experiment, decisions on evidence and their record. See
``docs/rollout.md``."""
