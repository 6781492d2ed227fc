"""An adapter and its base read tensor by tensor, and written as one 16-bit model folder."""
