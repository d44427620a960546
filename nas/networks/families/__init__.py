"""Network families: VGG, ResNet, DenseNet, MobileNet, plain CNN, MLP, pairs and ResNet baselines."""
