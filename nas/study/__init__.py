"""Study specification: the tables of a study file as checked values. No torch."""
