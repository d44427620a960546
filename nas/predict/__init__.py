"""Using an exported network on image files. Needs no study and no database."""
