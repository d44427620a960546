"""Study specification: validated tables of a study file. No torch."""
