"""What is made of finished maps: updates, generalisation, areas."""
