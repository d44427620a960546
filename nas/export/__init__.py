"""Export of trained networks to standalone files, their verification, and inference with them."""
