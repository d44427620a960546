"""Search spaces and genomes: architectures, recipes, genes and their domains. No torch."""
