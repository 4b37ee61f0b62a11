"""One model compressed in several ways, each tested on the same samples, side by side."""
