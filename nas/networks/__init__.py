"""Architecture to `nn.Module`: the four searched families, those of grids alone, published ones, and what they cost."""
