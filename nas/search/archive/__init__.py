"""Studies as files: snapshots of a study in the database, archive files of them, and their union with stored ones."""
