"""Workers: supervisors that talk to the database, and trainer processes that compute."""
