"""What runs behind the boundary: launcher, zygote, supervisors and the workers that run cells."""
