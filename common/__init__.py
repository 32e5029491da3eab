"""What every room shares: the error a user sees, files that appear whole, strict building."""
