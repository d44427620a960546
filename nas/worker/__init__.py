"""Workers: a supervisor that talks to the database, and its trainer child that computes."""
