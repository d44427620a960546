"""Architecture to `nn.Module`: the four searched families, the reference ResNet-18, and what they cost."""
