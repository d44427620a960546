"""Finals: choice of finalists, results over seeds on the test images, and their statistics."""
