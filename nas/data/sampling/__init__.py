"""Training-image sampling: shuffled, class-balanced and SMOTE, and batches on the device."""
