"""Wake-up hints between processes."""
