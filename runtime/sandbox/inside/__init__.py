"""What runs on the other side of the boundary: launcher, zygote, supervisors and the workers that run cells."""
