"""Persistence in PostgreSQL: Optuna's storage, slot leases, trial records and artifacts."""
