"""Training: from a method, a recipe and images to a trained network and its predictions."""
