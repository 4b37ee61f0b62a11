"""Runtime libraries: out of wheels, out of apps, and what is known of them."""
