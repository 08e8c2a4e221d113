"""Requests that the model did not answer while two versions were compared."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "failures",
        sa.Column("note_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("note_id"),
    )
    op.create_index(op.f("ix_failures_at"), "failures", ["at"], unique=False)


def downgrade() -> None:
    op.drop_table("failures")
