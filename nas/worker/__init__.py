"""Workers: supervisors that use the database and trainer processes that compute."""
