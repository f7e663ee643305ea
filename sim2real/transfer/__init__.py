"""Transfer: one module per method behind one protocol, run beside its scratch and zero-shot arms, and the verdict."""
