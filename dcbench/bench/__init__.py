"""How fast dcbench trains here, beside a plain PyTorch loop and the machine's own ceiling."""
