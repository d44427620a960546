"""Search by shared weights: choice of the elastic networks, of slices to score, and of slices to train."""
