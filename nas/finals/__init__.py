"""Finals: which networks of a search are trained once more, and what their scores on the test images say."""
