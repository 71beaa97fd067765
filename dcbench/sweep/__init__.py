"""Many runs: what is asked, what is missing, and who carries it out."""
