"""The program's own tables beside optuna's, which are created together."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, MetaData, Table, Text

metadata = MetaData()

reports = Table(
    "nas_reports",
    metadata,
    Column("study", Text, primary_key=True),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("writing", Boolean, nullable=False),
    Column("shown", Text),
)
